# The whole developer interface. Each target sets itself up on a bare machine: Python 3.11 or newer, make, and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# One process a core. The tests of a file stay together, because they share fixtures that take long to make. The order
# is that of the files: by the number of tests, the few that take long would come last, and one core would wait.
PARALLEL := --numprocesses auto --dist loadfile --no-loadscope-reorder
READY := $(VENV)/.ready
DOCS := .venv-docs

.PHONY: demo test test-slow lint check format clean browser docs

demo: $(READY)  ## train on the built-in set; leaves runs/demo with its report
	$(BIN)/thalweg demo

# Types are checked beside the tests, on what the cores have left; what pyright says is printed after them.
test: $(READY) lint browser  ## lint, types, and every test that is not marked slow
	@$(BIN)/pyright >$(VENV)/types.log 2>&1 & types=$$!; \
	$(BIN)/python -m pytest -m "not slow" $(PARALLEL); tests=$$?; \
	wait $$types; wrong=$$?; cat $(VENV)/types.log; exit $$((tests | wrong))

test-slow: $(READY) browser  ## the tests that take longer
	$(BIN)/python -m pytest -m slow $(PARALLEL)

# The page's tests drive Debian's Chromium. Where apt cannot install it, they are skipped, and a line says so.
browser:
	@command -v chromium >/dev/null || { apt-get update -qq && apt-get install -y -qq chromium; } >/dev/null 2>&1 \
		|| echo "chromium cannot be installed here: the page's browser tests will be skipped"

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

check: lint  ## lint and types
	$(BIN)/pyright

# The tools of the site have an environment of their own: it reads the docstrings without importing thalweg.
docs: $(DOCS)/.ready  ## the documentation, in build/docs/site: open its index.html, with or without a server
	$(DOCS)/bin/python tools/docs_site.py build/docs
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build --quiet --config-file build/docs/mkdocs.yml
	$(DOCS)/bin/python tools/docs_site.py build/docs --finish
	@echo "build/docs/site/index.html"

$(DOCS)/.ready: docs/requirements.txt
	$(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/python -m pip install --quiet --disable-pip-version-check --requirement docs/requirements.txt
	touch $@

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# torch first and alone: a machine's own index may hold a smaller build of this very version.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep '^torch==' constraints.txt)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	touch $(READY)

clean:
	rm -rf $(VENV) $(DOCS) build/docs .pytest_cache .ruff_cache
