# Every target sets up what it needs: an environment in .venv, with the versions of constraints.txt.
#
#   make test PYTHON=python3.13 VENV=.venv-3.13    with another Python, in an environment of its own
#   make suite ARGS="-k storage -x"                arguments for pytest

VENV ?= .venv
PYTHON ?=
WORKERS ?= 2
ARGS ?=
SUITE ?=

PY = $(VENV)/bin/python
READY = $(VENV)/.ready
PARALLEL = -n $(WORKERS) --dist loadfile --no-loadscope-reorder
SHORT = "not soak and not guard and not alone $(SUITE)"
# Their tests look at every object of the process.
LOOK_AT_ALL = $(wildcard tests/debug/test_backrefs.py tests/debug/test_connections*.py tests/debug/test_memory*.py \
	tests/debug/test_schemathesis.py)
PYTEST = $(PY) -m pytest -o cache_dir=$(VENV)/.pytest_cache

.NOTPARALLEL: # the guards measure time
.PHONY: help environment setup demo test suite side_by_side small alone again guards soak bench lint format types docs screenshots smoke constraints clean

help:
	@echo "make demo         a service under load, its slow operations captured and ranked"
	@echo "make test         every test but the long ones (make soak), then the timing guards alone"
	@echo "make lint types   ruff, mypy, pyright            make format       mend what ruff can"
	@echo "make bench        what profkit costs, measured    make smoke        the wheel in an empty environment"
	@echo "make constraints  renew the pinned versions       make docs         write docs/debug-api.md"
	@echo "make screenshots  every debug page, light, dark and on a phone, in screenshots/"
	@echo "make clean        remove all that make made"

setup: $(READY)

environment:
	@test -x $(PY) || { \
		python=$$(sh scripts/pythons.sh $(PYTHON)) || exit 1; \
		echo "Setting up $(VENV) with $$python; the first time takes a minute or two"; \
		if [ -f $(VENV)/pyvenv.cfg ]; then rm -rf $(VENV); fi; \
		"$$python" -m venv $(VENV); \
	}

# Also made anew when the Python it was made with has gone.
$(READY): $(shell test -x $(PY) || echo environment) pyproject.toml constraints.txt
	@$(PY) -m pip install --quiet --no-compile --disable-pip-version-check --editable ".[dev]" --constraint constraints.txt
	@touch $@

demo: $(READY)
	@$(PY) examples/agent_service $(ARGS)

test: suite guards

suite: side_by_side small alone

side_by_side: $(READY)
	$(PYTEST) $(PARALLEL) -m $(SHORT) $(LOOK_AT_ALL:%=--ignore=%) $(ARGS)

# In processes that hold no more than they need: 3 s each instead of 10 to 60 among 5,000 others.
small: $(READY)
	$(PYTEST) $(PARALLEL) -m $(SHORT) $(LOOK_AT_ALL) $(ARGS) || test $$? = 5

alone: $(READY)
	$(PYTEST) -m alone $(ARGS) || test $$? = 5

# Only what failed in the last run of any of these.
again: $(READY)
	$(PYTEST) --last-failed --last-failed-no-failures none $(ARGS)

guards: $(READY)
	$(PYTEST) -m guard $(ARGS)

soak: $(READY)
	$(PYTEST) -m soak $(ARGS)

bench: $(READY)
	@$(PY) -m benchmarks.run
	@$(PY) -m benchmarks.sampler
	$(PYTEST) benchmarks/test_figures.py --benchmark-only --benchmark-columns=median,iqr,rounds $(ARGS)

lint: $(READY)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

format: $(READY)
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

types: $(READY)
	$(PY) -m mypy
	$(PY) -m pyright --pythonpath $(PY)

docs: $(READY)
	$(PY) scripts/debug_api.py docs/debug-api.md

# Of a showcase with everything that a page may have to show: tests/debug/showcase.
screenshots: $(READY)
	@$(PY) -m scripts.screenshots screenshots $(ARGS)

smoke: $(READY)
	@rm -rf dist
	$(PY) -m build --outdir dist .
	$(PY) scripts/smoke.py dist/*.whl

# Needs none of the pinned versions: old pins may be what has to go.
constraints: environment
	@$(PY) -m uv --version >/dev/null 2>&1 || $(PY) -m pip install --quiet --disable-pip-version-check uv
	@echo "# Every version, direct and transitive, for Python 3.11 to 3.13. Renewed by: make constraints" > constraints.new
	@$(PY) -m uv pip compile pyproject.toml --extra dev --extra all --extra dask --universal --upgrade \
		--python-version 3.11 --quiet --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
		>> constraints.new || { rm -f constraints.new; exit 1; }
	@mv constraints.new constraints.txt
	@echo "constraints.txt: $$(grep -c == constraints.txt) versions"

clean:
	rm -rf .venv .venv-* dist build screenshots constraints.new .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
