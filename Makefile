# make run    install, bring the local stack up, run the demo on real data (ARGS="--once --json FILE")
# make test   install, then everything that CI runs: check and the tests
# make check  ruff, mypy --strict, import contracts
# make lock   write requirements.lock anew from pyproject.toml's ranges
# make clean  take the local stack down, remove its state, .venv and caches

PYTHON ?= python3
VENV   := .venv
# Ray starts its processes by a shell line in which the interpreter's path stands unquoted: from a folder with a blank
# in its name the environment lies elsewhere, and .venv leads to it.
ifneq ($(word 2,$(CURDIR)),)
PLACE  := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/tidegate/venv-$(shell printf %s '$(CURDIR)' | sha256sum | cut -c -12)
else
PLACE  := $(VENV)
endif
BIN    := $(PLACE)/bin
PYTEST := PYTHONFAULTHANDLER=1 $(BIN)/python -m pytest
READY  := $(VENV)/.ready
TORCH  := $(shell sed -n 's/^\(torch==.*\)/\1/p' requirements.lock)
ARGS   ?=

.PHONY: run test check lock clean
.DEFAULT_GOAL := run

$(READY): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or later is needed; make PYTHON=/path/to/python3.11 run")'
	@$(BIN)/python -m pip --version > /dev/null 2>&1 || $(PYTHON) -m venv --clear $(PLACE) || { echo "python3 -m venv failed; on Debian: apt-get install python3-venv"; exit 1; }
	@test -e $(VENV) || ln -sfn $(PLACE) $(VENV)
	$(BIN)/python -m pip install -qq --disable-pip-version-check $(TORCH)
	$(BIN)/python -m pip install -qq --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --editable .
	@touch $@

run: $(READY)
	@$(BIN)/python -m jobs.run $(ARGS)

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Three processes, though two cores are enough: the one with the stack mostly waits (tests/README.md).
test: check
	$(PYTEST) -n 3 --no-loadscope-reorder $(ARGS)

lock:
	rm -rf $(VENV) $(PLACE)
	$(PYTHON) -m venv $(PLACE)
	@test -e $(VENV) || ln -sfn $(PLACE) $(VENV)
	$(BIN)/python -m pip install -qq --disable-pip-version-check torch==2.13.0
	$(BIN)/python -m pip install -qq --disable-pip-version-check --editable '.[dev,cluster]'
	$(BIN)/python -m pip freeze --exclude-editable --exclude pip --exclude setuptools | sed 's/^\(torch==[^+]*\)+.*/\1/' > requirements.lock

clean:
	@test ! -e $(READY) || ! test -d .tidegate || $(BIN)/python -m jobs.cli local down --purge
	rm -rf $(VENV) $(PLACE) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
	find app cluster jobs tests -name __pycache__ -type d -prune -exec rm -rf {} +
