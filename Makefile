# What a user needs is `make demo` and `make test`; both set themselves up in .venv.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help

# The first of these that the pinned packages have builds for (open3d 0.19 stops at Python 3.12).
PYTHONS := python3 python3.12 python3.11 python3.10
IN_RANGE := import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))
ifndef PYTHON
PYTHON := $(shell for p in $(PYTHONS); do $$p -c '$(IN_RANGE)' 2>/dev/null && echo $$p && break; done)
endif
# Where torch comes from, when not from pip's own index; see docs/installation.md.
TORCH_INDEX ?=
VENV := .venv/bin
export PYTHONUNBUFFERED := 1
# As the command sets it: see sparse_s4r/cli/environment.py.
export GOMP_SPINCOUNT := 1000

.PHONY: help install demo test minkowski clean

help: ## say what there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/\1|\2/' \
	  | while IFS='|' read -r name text; do printf '  make %-10s %s\n' "$$name" "$$text"; done

install: ## make .venv and install everything into it (does nothing when that is done)
	@if ! $(or $(PYTHON),false) -c '$(IN_RANGE)' 2>/dev/null; then
	  echo "Set-up needs Python 3.10, 3.11 or 3.12 and found $$($(or $(PYTHON),python3) --version 2>&1 | tail -1)." >&2
	  echo "Install one, e.g. apt-get install python3 python3-venv, or name it: make PYTHON=/path/to/python3.11 ..." >&2
	  exit 1
	fi
	$(PYTHON) tools/environment.py $(if $(TORCH_INDEX),--torch-index $(TORCH_INDEX))

demo: install ## reconstruct a generated room: train on its frames, predict, report.html in runs/demo
	@out=runs/demo; n=1
	while [ -e "$$out" ]; do n=$$((n + 1)); out=runs/demo-$$n; done
	if [ $$n -gt 1 ]; then echo "runs/demo exists and stays as it is; this run goes to $$out"; fi
	$(VENV)/s4r demo --from-scratch --out "$$out"

test: install ## ruff, mypy and the tests
	@failed=
	check() { echo "$$*"; $(VENV)/"$$@" || failed="$$failed$$1 "; }
	check ruff check .
	check ruff format --check .
	check mypy
	if [ -n "$$failed" ]; then echo "FAILED, see above: $$failed(the tests run all the same)"; fi
	check python -m pytest -q --durations=5
	[ -z "$$failed" ]

minkowski: install ## build MinkowskiEngine 0.5.4 and install it into .venv (5 to 20 minutes, once; PARALLEL=1: its CPU loops on all cores)
	@$(VENV)/python third_party/minkowski/build.py$(if $(filter 1,$(PARALLEL)), --parallel)

clean: ## remove .venv and caches; runs/ stays
	@rm -rf .venv build .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
