# Two commands set everything up: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CORES := $(shell nproc 2>/dev/null || echo 2)
TORCH := $(shell grep '^torch==' constraints.txt)

.PHONY: demo test quick mutants check docs tutorials wheel clean

demo: $(VENV)/installed  ## train on the phantom, compare with the ideal observer, write a report
	$(BIN)/bayescope demo --out demo-run --force

test: $(VENV)/installed  ## all tests
	OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n $(CORES)

quick: $(VENV)/installed  ## the tests that take a second or less each, under 3 minutes on 2 cores
	OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n $(CORES) -m "not slow"

mutants: $(VENV)/installed  ## mutation testing of the mathematics and the command line (within an hour on 2 cores)
	$(BIN)/python -m tests.mutants

check: $(VENV)/installed  ## lint, formatting, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/installed  ## build the documentation into site/; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict --clean

tutorials: $(VENV)/installed  ## run the tutorials and keep what they show
	$(BIN)/python docs/hooks/tutorials.py

wheel: $(VENV)/installed  ## build wheel and sdist, and try the wheel in an environment without the repository
	scripts/check-wheel.sh

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "found Python %d.%d; Bayescope needs 3.11 or newer: make PYTHON=python3.11 …" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip -c constraints.txt
	$(BIN)/python -m pip install --quiet "$(TORCH)" numpy -c constraints.txt
	$(BIN)/python -m pip install --quiet -e ".[dev,docs]" -c constraints.txt
	touch $@

clean:
	rm -rf $(VENV) demo-run site
