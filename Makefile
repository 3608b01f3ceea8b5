# One command each, also on a fresh machine:
#
#   make install     make .venv and install everything into it
#   make demo        the main job on real data: catalogue, request, Parquet, DataFrame
#   make demo-lab    the same in JupyterLab
#   make test        lint, types and all tests (CI=true: a skipped test is a failure)
#   make test-fast   the same without the tests that take long
#   make lint  make format  make bench  make clean
#
# PYTHON=/path/to/python chooses the interpreter that .venv is made of; DEMO="--folder /some/where" goes to the demo.

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTHON ?=
DEMO ?=
PIP_INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check --no-input

# Each group is one run of pytest; together they cover every marker once.
GROUPS := fast slow notebook browser crash
MARK_fast := not slow and not notebook and not browser and not crash
MARK_slow := slow and not notebook and not browser and not crash
MARK_notebook := notebook and not browser and not crash
MARK_browser := browser and not crash
MARK_crash := crash

.PHONY: install demo demo-lab chromium test test-fast lint types format bench clean
.DEFAULT_GOAL := install

install: $(STAMP)

# A Python that is new enough and can make environments; on Debian, as root, the missing part is installed.
define FIND_PYTHON
find_python() { \
  for candidate in $(PYTHON) python3 python3.13 python3.12 python3.11 python3.10 python; do \
    if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1 \
      && "$$candidate" -c 'import ensurepip, venv' >/dev/null 2>&1; then echo "$$candidate"; return 0; fi; \
  done; return 1; \
}
endef

$(STAMP): pyproject.toml
	@set -eu; $(FIND_PYTHON); \
	if ! $(BIN)/python -c 'import pip' >/dev/null 2>&1; then \
	  python=$$(find_python) || python=; \
	  if [ -z "$$python" ] && command -v apt-get >/dev/null 2>&1 && [ "$$(id -u)" = 0 ]; then \
	    echo "Installing python3, python3-venv and python3-pip with apt-get …"; \
	    export DEBIAN_FRONTEND=noninteractive; \
	    apt-get update -qq >/dev/null; \
	    apt-get install -y -qq --no-install-recommends python3 python3-venv python3-pip ca-certificates >/dev/null; \
	    python=$$(find_python) || python=; \
	  fi; \
	  if [ -z "$$python" ]; then \
	    echo "No Python >= 3.10 with venv and ensurepip was found. Install one (Debian: apt-get install python3-venv)," >&2; \
	    echo "or name it: make install PYTHON=/path/to/python3" >&2; \
	    exit 1; \
	  fi; \
	  echo "Making $(VENV) with $$("$$python" --version) …"; \
	  rm -rf $(VENV); \
	  "$$python" -m venv $(VENV); \
	fi; \
	echo "Installing the packages into $(VENV) (a minute or two the first time) …"; \
	$(PIP_INSTALL) -e '.[dev]'; \
	touch $@; \
	echo "Ready: $(BIN)/jupyter cosphere --help"

demo: $(STAMP)
	@$(BIN)/jupyter cosphere demo $(DEMO)

demo-lab: $(STAMP)
	@$(BIN)/jupyter cosphere demo --lab $(DEMO)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Everything runs to its end, so that one run tells all; the summary names each group with what became of it.
define RUN_GROUPS
failed=0; summary=""; \
note() { summary="$$summary$$(printf '  %-10s %s' "$$1" "$$2")\n"; }; \
step() { name="$$1"; shift; echo; echo "=== $$name: $$*"; if "$$@"; then note "$$name" passed; else note "$$name" FAILED; failed=1; fi; }; \
group() { \
  echo; echo "=== $$1 tests (pytest -m \"$$2\")"; code=0; \
  $(BIN)/python -m pytest -q -m "$$2" || code=$$?; \
  case $$code in \
    0) note "$$1" passed;; \
    5) note "$$1" "DID NOT RUN: no test carries this marker"; if [ "$${CI:-}" = true ]; then failed=1; fi;; \
    *) note "$$1" "FAILED (pytest exit code $$code)"; failed=1;; \
  esac; \
}; \
step lint $(BIN)/ruff check .; \
step format $(BIN)/ruff format --check .; \
step types $(BIN)/mypy
endef

define SAY_SUMMARY
echo; echo "=== Summary"; printf "$$summary"; \
if [ $$failed = 0 ]; then echo "All of it passed."; else echo "Something FAILED or could not run: see above."; exit 1; fi
endef

# The browser tests drive the system's Chromium; on Debian, as root, it is installed if it is missing.
chromium:
	@set -eu; \
	if ! [ -x "$${COSPHERE_CHROMIUM:-/usr/bin/chromium}" ] && command -v apt-get >/dev/null 2>&1 && [ "$$(id -u)" = 0 ]; then \
	  echo "Installing chromium with apt-get …"; \
	  export DEBIAN_FRONTEND=noninteractive; \
	  apt-get update -qq >/dev/null; \
	  apt-get install -y -qq --no-install-recommends chromium >/dev/null; \
	fi

test: $(STAMP) chromium
	@$(RUN_GROUPS); $(foreach g,$(GROUPS),group $(g) "$(MARK_$(g))";) $(SAY_SUMMARY)

test-fast: $(STAMP)
	@$(RUN_GROUPS); group fast "$(MARK_fast)"; $(SAY_SUMMARY)

bench: $(STAMP)
	@set -eu; found=0; \
	for script in benchmarks/*.py; do \
	  [ -e "$$script" ] || continue; \
	  found=1; echo "=== $$script"; $(BIN)/python "$$script"; \
	done; \
	if [ $$found = 0 ]; then echo "There is no benchmark yet (benchmarks/*.py)."; fi

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
