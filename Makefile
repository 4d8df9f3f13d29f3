# Two commands do everything on a fresh machine: make reproduce, make test.
# Everything runs through .venv/bin/python -m, since scripts with a #! line break in paths with spaces.

PYTHON ?= python3
PRESET ?= quick
PY := .venv/bin/python
STAMP := .venv/.installed

export TF_CPP_MIN_LOG_LEVEL ?= 2
# Processes start sooner from compiled modules; some systems ask for none.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help venv reproduce figures test lint clean
.DEFAULT_GOAL := help

help:
	@echo 'make reproduce             install, generate the images, train, measure: figure 3, table, results/RESULTS.md'
	@echo '  PRESET=smoke|quick|cpu|paper   how much (default quick: a quarter of an hour on two cores)'
	@echo 'make test                  install, lint, type check and tests'
	@echo 'make figures               redraw figures and tables from results/records.csv, without training'
	@echo 'make venv                  .venv/ with the package and the test extras'
	@echo 'make lint                  ruff and mypy alone'
	@echo 'make clean                 remove .venv/ and caches; runs/ and results/ stay'
	@echo '  PYTHON=python3.12        another interpreter (>= 3.11)'

venv: $(STAMP)

$(STAMP): setup.cfg pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python >= 3.11 is needed: make PYTHON=python3.12 ..." if sys.version_info < (3, 11) else 0)'
	@$(PY) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	$(PY) -m pip install --disable-pip-version-check --no-compile -c constraints.txt -e '.[test,reproduce]'
	@# pip would compile on one core alone; a few files are templates, or for other versions of Python.
	@$(PY) -W ignore -m compileall -qq -j 0 .venv/lib || true
	@touch $(STAMP)

reproduce: $(STAMP)
	$(PY) -m reproduce fig3 --preset=$(PRESET)

figures: $(STAMP)
	$(PY) -m reproduce all --draw

test: lint
	$(PY) -m pytest -n 3 --dist=loadfile --no-loadscope-reorder

lint: $(STAMP)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

clean:
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache
