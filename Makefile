# make demo    first run, in an environment of its own
# make test    everything the tests need, then the tests
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.PHONY: demo test test-slow lint smoke programs docs bench clean help

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/installed  ## install, run the default experiment, say where its folder is
	$(BIN)/labrunner

test: $(VENV)/tested  ## install what the tests need, run them
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "not slow"

test-slow: $(VENV)/tested  ## the tests that take long; every case of docs/reliability.md, counted
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "slow or line"

lint: $(VENV)/tested  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

smoke: $(VENV)/installed  ## every experiment cut small, labs included, from the command line
	@for file in conf/experiment/*.yaml; do \
	  name=$$(basename $$file .yaml); echo "labrunner experiment=$$name smoke=true figures=none"; \
	  $(BIN)/labrunner experiment=$$name smoke=true figures=none || exit 1; \
	done

programs:  ## Chromium, zsh and fish, in which pages and completion are tested: by apt, those that are not there yet
	@missing=""; for name in zsh fish; do command -v $$name > /dev/null || missing="$$missing $$name"; done; \
	command -v chromium > /dev/null || command -v chromium-browser > /dev/null || command -v google-chrome > /dev/null || \
	  missing="$$missing chromium"; \
	[ -n "$$missing" ] || exit 0; \
	command -v apt-get > /dev/null || { echo "no apt-get here: without$$missing, tests of theirs are skipped"; exit 0; }; \
	[ "$$(id -u)" = 0 ] || sudo="sudo"; \
	$$sudo apt-get update -qq && $$sudo apt-get install -qq -y --no-install-recommends $$missing

docs: $(VENV)/installed  ## the tables of options and of labs in README.md and docs/, from the YAML
	$(BIN)/python docs/options.py

bench: $(VENV)/tested  ## the benchmarks; on a quiet machine
	$(BIN)/python benchmarks/epoch.py
	$(BIN)/python benchmarks/checkpoint.py
	$(BIN)/python benchmarks/process.py
	$(BIN)/python benchmarks/completion.py
	$(BIN)/python benchmarks/sweep.py
	$(BIN)/python benchmarks/augment.py
	$(BIN)/python benchmarks/frozen.py
	$(BIN)/python benchmarks/imagefolder.py

clean:  ## remove the environment and the caches; outputs/ stays
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "labrunner needs Python 3.11 or newer: make PYTHON=python3.11 demo"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/tested: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@ $(VENV)/installed
