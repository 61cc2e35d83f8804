# The whole developer interface. Each target sets itself up on a bare machine: Python 3.11 or newer, make, and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# One process a core; a file's tests stay together, because they share what is dear to make.
PARALLEL := --numprocesses auto --dist loadfile
READY := $(VENV)/.ready

.PHONY: demo test test-slow check format clean browser

demo: $(READY)  ## train on the built-in set; leaves runs/demo with its report
	$(BIN)/thalweg demo

test: $(READY) check browser  ## lint, types, and every test that is not marked slow
	$(BIN)/python -m pytest -m "not slow" $(PARALLEL)

test-slow: $(READY) browser  ## the tests that take longer
	$(BIN)/python -m pytest -m slow $(PARALLEL)

# The page's tests drive Debian's Chromium. Where apt cannot install it, they are skipped, and said to be.
browser:
	@command -v chromium >/dev/null || { apt-get update -qq && apt-get install -y -qq chromium; } >/dev/null 2>&1 \
		|| echo "chromium cannot be installed here: the page's browser tests will be skipped"

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

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
	rm -rf $(VENV) .pytest_cache .ruff_cache
