# The whole developer interface. Each target sets itself up on a bare machine: Python 3.11 or newer, make, and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# One process a core; a file's tests stay together, because they share what is dear to make.
PARALLEL := --numprocesses auto --dist loadfile
READY := $(VENV)/.ready

.PHONY: demo test test-slow check format clean

demo: $(READY)  ## train on the built-in set; leaves runs/demo with its report
	$(BIN)/thalweg demo

test: $(READY) check  ## lint, types, and every test that is not marked slow
	$(BIN)/python -m pytest -m "not slow" $(PARALLEL)

test-slow: $(READY)  ## the tests that take longer
	$(BIN)/python -m pytest -m slow $(PARALLEL)

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
