PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed
# Each test process would compile all modules anew; and each core has a process of its own already.
unexport PYTHONDONTWRITEBYTECODE
test test-slow test-exhaustive: export OPENBLAS_NUM_THREADS := 1

# Of what pip says: the name of each package as it is fetched, and errors.
SHOW_PROGRESS = /^Collecting/ {sub(/[^A-Za-z0-9._-].*/, "", $$2); printf " %s", $$2; fflush()} \
	/^Installing/ {print "\nunpacking them"; fflush()} /^(ERROR|error)/ {print "\n" $$0} /^exit/ {code = $$2} END {exit code}

.DEFAULT_GOAL := help
.PHONY: help demo report test test-cuda test-slow test-exhaustive test-browser test-ray test-slurm test-postgres lint format bench ui docs size build clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: needs Python 3.11 or newer, $(PYTHON) is older; write for example: make PYTHON=python3.12 demo"; exit 2; }
	@echo "installing the tested versions into $(VENV), once; this takes minutes"
	@$(PYTHON) -m venv $(VENV)
	@{ $(BIN)/python -m pip install --constraint constraints.txt --editable '.[dev]' 2>&1; echo "exit $$?"; } | awk '$(SHOW_PROGRESS)'
	@touch $(READY)

demo: $(READY) ## train relu, sigmoid and softplus on digits, five seeds each, and compare them
	$(BIN)/workbench demo

report: $(READY) ## measure all claims (full profile), write docs/claims with its figures
	$(BIN)/workbench reproduce all --profile full --report docs/claims

test: $(READY) ## run the tests
	$(BIN)/python -m pytest -n auto --dist worksteal

test-cuda: $(READY) ## run the tests that need a CUDA device
	$(BIN)/python -m pytest -m cuda

test-slow: $(READY) ## run the tests that take long: small claims, calibration, kills
	$(BIN)/python -m pytest -n auto --dist worksteal -m slow

test-exhaustive: $(READY) ## run the tests that try all cases of what the slow tests sample
	$(BIN)/python -m pytest -n auto --dist worksteal -m exhaustive

test-browser: $(READY) ## run the tests that need Chromium
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[browser]'
	$(BIN)/python -m pytest -m browser

test-ray: $(READY) ## run the tests that start a Ray cluster
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[ray]'
	$(BIN)/python -m pytest -m ray

test-slurm: $(READY) ## run the tests that start a SLURM cluster (needs slurmctld, slurmd, munge, root)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[slurm]'
	$(BIN)/python -m pytest -m slurm

test-postgres: $(READY) ## run the tests that start a PostgreSQL server (needs its programs)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[postgres]'
	$(BIN)/python -m pytest -m postgres

lint: $(READY) ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY) ## put the code into the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY) ## time training steps against autograd and the bare matrix products
	$(BIN)/workbench bench

ui: $(READY) ## serve MLflow's pages for the runs of this folder
	$(BIN)/workbench ui

docs: $(READY) ## build the pages of docs/ as a site, in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

size: ## print the largest files and functions
	@$(PYTHON) tests/size.py

build: $(READY) ## make the wheel in dist/
	$(BIN)/python -m pip wheel --no-deps --wheel-dir dist .

clean: ## remove the environment and everything built
	rm -rf $(VENV) dist build site .pytest_cache .mypy_cache .ruff_cache
