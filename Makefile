# Everything runs in .venv, made on first use; `make help` lists the targets.
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt
SPHINXOPTS ?= -W --keep-going
ARGS ?=
# The part of the tests that test-lowest runs; TESTS=tests for all of them
TESTS ?= tests/model tests/module tests/train
LOWEST := .venv-lowest

# no window is opened by a plot
export MPLBACKEND := Agg
# idle OpenMP threads sleep: spinning ones take the cores from other processes, and from each other
export OMP_WAIT_POLICY ?= PASSIVE

.DEFAULT_GOAL := help
.PHONY: help install demo test test-lowest browser docs links lint clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' Makefile

install: $(VENV)/.installed  ## make .venv and install activa with all that the demo and the tests need

demo: $(VENV)/.installed  ## train, generate and evaluate on real cells; writes demo/
	$(BIN)/python scripts/demo.py

test: $(VENV)/.installed  ## run the tests in two processes (ARGS="-k name" for some of them, "-n 0" for one process)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile $(ARGS)

# axe judges what the report's page is worth to people who cannot see it, or use no mouse
browser: $(VENV)/.installed  ## install what the report's tests need to open it (with Debian's chromium and chromium-driver)
	npm install --prefix $(VENV)/axe --no-save --no-audit --no-fund --ignore-scripts --loglevel=error axe-core@4.14

# Old versions warn of what has changed since: no error here
test-lowest: $(LOWEST)/.installed  ## run the model's tests with the lowest versions that pyproject.toml allows
	$(LOWEST)/bin/python -m pytest -W default $(TESTS) $(ARGS)

docs: $(VENV)/.installed-doc  ## build the documentation into docs/_build/html
	$(BIN)/python -m sphinx -b html $(SPHINXOPTS) docs docs/_build/html

links: $(VENV)/.installed-doc  ## check the documentation's links to the outside, where there is a network
	@if $(BIN)/python -c "import socket; socket.create_connection(('docs.python.org', 443), timeout=3)" 2>/dev/null; \
	then ACTIVA_DOCS_EXECUTE=off $(BIN)/python -m sphinx -b linkcheck --keep-going docs docs/_build/links; \
	else echo "no network: links are not checked"; fi

lint: $(VENV)/.installed-dev  ## check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

clean:  ## remove .venv and what was built
	rm -rf $(VENV) $(LOWEST) demo dist docs/_build docs/generated .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis

# The stamp is younger than what it depends on, so a second call installs nothing.
# Dependency groups need pip >= 25.1, which is newer than what Python 3.12 and 3.13 bundle.
$(VENV)/.installed: pyproject.toml constraints.txt
	@test -x $(BIN)/python || { python=$$(scripts/find_python.sh) && echo "making $(VENV) with $$python" && "$$python" -m venv --clear $(VENV); }
	@echo "installing activa (a few minutes the first time: PyTorch is large)"
	@$(PIP_INSTALL) 'pip>=25.1'
	@$(PIP_INSTALL) --editable '.[annbatch,cli,criticism,data,eval,experiments,hub]' --group test
	@touch $@

# pip always takes the newest version that fits; uv can take the lowest
$(LOWEST)/.installed: pyproject.toml
	@python=$$(scripts/find_python.sh) && "$$python" -m venv --clear $(LOWEST)
	@$(LOWEST)/bin/python -m pip install --disable-pip-version-check --quiet uv
	@$(LOWEST)/bin/uv pip install --quiet --python $(LOWEST)/bin/python --resolution lowest-direct \
		--editable '.[annbatch,cli,criticism,data,eval,experiments,hub]' --group test
	@touch $@

$(VENV)/.installed-%: $(VENV)/.installed
	@$(PIP_INSTALL) --group $*
	@touch $@
