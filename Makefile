# Everything runs in .venv, which is created on first use; `make help` lists the targets.
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt
SPHINXOPTS ?= -W --keep-going
ARGS ?=
# The tests that test-lowest runs; TESTS=tests runs all
TESTS ?= tests/model tests/module tests/train
LOWEST := .venv-lowest

# plots open no window
export MPLBACKEND := Agg
# idle OpenMP threads sleep; spinning threads would take the cores from other processes
export OMP_WAIT_POLICY ?= PASSIVE
# one thread per test process
PYTEST := OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help install demo test-fast test doctest test-lowest browser docs links lint clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' Makefile

install: $(VENV)/.installed  ## create .venv and install activa and what the demo and the tests need

demo: $(VENV)/.installed  ## train, generate and evaluate on real cells; writes demo/
	$(BIN)/python scripts/demo.py

test-fast: $(VENV)/.installed  ## run the fast tests (under 3 minutes on two cores)
	$(PYTEST) -m "not slow and not faults and not browser" $(ARGS)

test: $(VENV)/.installed  ## run all tests and examples, or the tests that ARGS selects (ARGS="-k name", ARGS="-n 0 tests/pl")
	$(PYTEST) $(ARGS)
	$(if $(ARGS),,$(MAKE) doctest)

doctest: $(VENV)/.installed  ## run the examples in docstrings
	$(PYTEST) --doctest-modules src/activa

# axe checks the accessibility of the report's page
browser: $(VENV)/.installed  ## install what the browser tests need (in addition to Debian's chromium and chromium-driver)
	npm install --prefix $(VENV)/axe --no-save --no-audit --no-fund --ignore-scripts --loglevel=error axe-core@4.14

# Old versions warn of later changes, so warnings are not errors here
test-lowest: $(LOWEST)/.installed  ## run the model's tests with the lowest versions that pyproject.toml allows
	$(LOWEST)/bin/python -m pytest -W default $(TESTS) $(ARGS)

docs: $(VENV)/.installed-doc  ## build the documentation into docs/_build/html
	$(BIN)/python -m sphinx -b html $(SPHINXOPTS) docs docs/_build/html

links: $(VENV)/.installed-doc  ## check the documentation's external links, if there is a network
	@if $(BIN)/python -c "import socket; socket.create_connection(('docs.python.org', 443), timeout=3)" 2>/dev/null; \
	then ACTIVA_DOCS_EXECUTE=off $(BIN)/python -m sphinx -b linkcheck --keep-going docs docs/_build/links; \
	else echo "no network: the links were not checked"; fi

lint: $(VENV)/.installed-dev  ## check style, types and files, as the pre-commit hooks do; fixes what it can
	$(BIN)/pre-commit run --all-files --show-diff-on-failure

clean:  ## remove .venv and build products
	rm -rf $(VENV) $(LOWEST) demo dist docs/_build docs/generated .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis

# The stamp file is newer than its prerequisites, so a second call installs nothing.
# Dependency groups need pip >= 25.1; Python 3.12 and 3.13 bundle older versions.
$(VENV)/.installed: pyproject.toml constraints.txt
	@test -x $(BIN)/python || { python=$$(scripts/find_python.sh) && echo "creating $(VENV) with $$python" && "$$python" -m venv --clear $(VENV); }
	@echo "installing activa (a few minutes the first time: PyTorch is large)"
	@$(PIP_INSTALL) 'pip>=25.1'
	@$(PIP_INSTALL) --editable '.[annbatch,cli,criticism,data,eval,experiments,hub]' --group test
	@touch $@

# uv can install the lowest versions, pip cannot
$(LOWEST)/.installed: pyproject.toml
	@python=$$(scripts/find_python.sh) && "$$python" -m venv --clear $(LOWEST)
	@$(LOWEST)/bin/python -m pip install --disable-pip-version-check --quiet uv
	@$(LOWEST)/bin/uv pip install --quiet --python $(LOWEST)/bin/python --resolution lowest-direct \
		--editable '.[annbatch,cli,criticism,data,eval,experiments,hub]' --group test
	@touch $@

$(VENV)/.installed-%: $(VENV)/.installed
	@$(PIP_INSTALL) --group $*
	@touch $@
