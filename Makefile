# `make` prints the help; `make repro` and `make test` do all of their own set-up.
.DEFAULT_GOAL := help
SHELL := /bin/bash

PYTHON ?= python3
VENV := .venv
READY := $(VENV)/ready
INSTALL := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-input \
           --require-hashes --no-deps --no-build-isolation

export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
# Nothing here reports home: DVC, Great Expectations and ONNX Runtime each have a switch of their own.
export DVC_NO_ANALYTICS := 1
export GX_ANALYTICS_ENABLED := false
export ORT_DISABLE_TELEMETRY := 1
-include .s3/make.env

.PHONY: help
help: ## Print this help
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: repro
repro: $(READY) ## Run the stage graph (dvc repro): collect → validate → prepare → train → export → evaluate
	@dvc repro --quiet $(ARGS) || dvc repro $(ARGS)

$(READY): requirements.lock $(wildcard requirements/*.lock) pyproject.toml
	@echo "Setting up $(VENV) from requirements.lock (some 190 packages, a minute or two) …"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Waymark needs Python 3.11 or newer; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@$(INSTALL) -r requirements/build.lock
	@$(INSTALL) -r requirements/torch-cpu.lock 2>/dev/null || $(INSTALL) -r requirements/torch-cuda.lock
	@$(INSTALL) -r requirements.lock
	@$(VENV)/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@$(VENV)/bin/python -m pip check
	@touch $@
