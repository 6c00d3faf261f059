# One virtual environment for all targets; a target repeated does only what has changed.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# Python compiles what it imports; pip would compile everything, for half a minute.
PIP = $(BIN)/python -m pip install --disable-pip-version-check --no-compile --quiet --constraint constraints.txt
# Parts in the order of the files, so that what a file shares is made once; who is done takes from the others.
PARTS = --dist worksteal -n

.PHONY: run test slow check gate speed readme docs results-gpu clean

## run: set everything up, run the demo suite to its leaderboard and write its report
run: $(VENV)/.installed
	$(BIN)/refbench demo

## test: set everything up and run the tests
test: $(VENV)/.tools
	$(BIN)/python -m pytest $(PARTS) 2

## slow: the tests that take minutes; some wait for clusters, so there are more than cores
slow: $(VENV)/.tools
	$(BIN)/python -m pytest $(PARTS) 3 -m slow --ignore tests/test_speed.py

## check: format, lint
check: $(VENV)/.tools
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

## gate: run the small suite on phantoms and compare it with the committed baseline, row by row
gate: $(VENV)/.installed
	rm -rf build/gate-store
	$(BIN)/refbench gate suites/ci.yaml --baseline .ci/baseline.json --store build/gate-store

## speed: time the hot paths beside the committed measurements; only lines of one table can be compared
speed: $(VENV)/.tools
	$(BIN)/python -m pytest -m slow tests/test_speed.py --benchmark-storage=file://.ci/benchmarks --benchmark-compare \
		--benchmark-columns=min,median,rounds --benchmark-sort=name

## readme: run the demo and put its leaderboard and its picture into README.md
readme: $(VENV)/.installed
	$(BIN)/python docs/make_readme.py

## docs: build the documentation as a site into build/site, which needs no network; a broken link ends it
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "build/site/index.html"

## results-gpu: on a machine with a GPU, measure training on it and run the suite that needs one; repeated, it goes on
results-gpu: $(VENV)/.installed
	$(BIN)/python benchmarks/gpu_cyclegan.py
	$(BIN)/refbench run suites/ixi_gpu.yaml
	$(BIN)/refbench leaderboard --region changed --attackers

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) torch
	$(PIP) --editable .
	touch $@

$(VENV)/.tools: pyproject.toml constraints.txt $(VENV)/.installed
	$(PIP) --editable ".[dev]"
	touch $@

$(VENV)/.docs: pyproject.toml constraints.txt $(VENV)/.installed
	$(PIP) --editable ".[docs]"
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
