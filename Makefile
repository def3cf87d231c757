# `make` prints the help; every target does all of its own set-up.
.DEFAULT_GOAL := help
SHELL := /bin/bash

PYTHON ?= python3
VENV := .venv
READY := $(VENV)/ready
PIP := $(VENV)/bin/python -m pip install --quiet --quiet --disable-pip-version-check --no-input --no-deps \
       --no-build-isolation
PYTEST := pytest --durations=10
PACKAGE = $(if $(CHAMPION),--champion) $(if $(BASE),--base $(BASE))

export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
# Nothing here reports home: BentoML, DVC, Great Expectations, MLflow and ONNX Runtime each have a switch of their own.
export BENTOML_DO_NOT_TRACK := True
export DVC_NO_ANALYTICS := 1
export GX_ANALYTICS_ENABLED := false
export MLFLOW_DISABLE_TELEMETRY := true
export ORT_DISABLE_TELEMETRY := 1
# After `make s3`: address and keys of the local S3 server, for sources such as s3://waymark/gtsrb/archive.zip.
-include .s3/make.env

.PHONY: help
help: ## Print this help
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.PHONY: repro
repro: $(READY) ## Run the stage graph: collect, validate, prepare, train, export, evaluate, track
	@python scripts/check_params.py
	@dvc repro
	@dvc metrics show reports/metrics.json

.PHONY: test
test: $(READY) ## Run the tests (minutes)
	@# Two processes, each a whole file at a time: what a file's tests share is set up once.
	@$(PYTEST) -m "not long" --numprocesses 2 --dist loadfile --no-loadscope-reorder

.PHONY: test-long
test-long: $(READY) ## Run the tests that take many minutes, too
	@$(PYTEST)

.PHONY: lint
lint: $(READY) ## Check style (ruff), types (mypy) and the workflows (zizmor, GitHub's schema)
	@ruff check
	@ruff format --check
	@mypy
	@zizmor --offline --quiet --persona=pedantic .github
	@check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yaml

.PHONY: bento
bento: $(READY) ## Package the service and the model (CHAMPION=1: the registry's champion), and print the Bento's tag
	@waymark package $(PACKAGE)

# Podman and buildah leave the health check out of images in their own format. OPTIONS go to `bentoml containerize`.
.PHONY: container
container: $(READY) ## Build the service's container image (CHAMPION=1, BACKEND=podman, BASE=another base image)
	@tag=$$(waymark package $(PACKAGE)) && \
	  BUILDAH_FORMAT=docker bentoml containerize "$$tag" --backend $(or $(BACKEND),docker) $(OPTIONS)

.PHONY: ui
ui: $(READY) ## Open MLflow's pages over all runs on 127.0.0.1:5000 (PORT=…), until Ctrl-C
	@python scripts/ui.py --port $(or $(PORT),5000)

.PHONY: s3
s3: $(READY) ## Start a real S3 server on this machine and make it the DVC remote
	@python scripts/s3.py start --port $(or $(PORT),9000)

.PHONY: s3-stop
s3-stop: $(READY) ## Stop that S3 server; what it stores stays
	@python scripts/s3.py stop

.PHONY: check-cache
check-cache: $(READY) ## Rehash what DVC has on this machine: its cache and the outputs
	@python scripts/check_cache.py

.PHONY: bench
bench: $(READY) ## Measure: transfer of archives, training, validation, memory of each stage, the service
	@python benchmarks/dvc_transfer.py
	@python benchmarks/data_loading.py
	@python benchmarks/input_pipeline.py
	@python benchmarks/training_step.py
	@python benchmarks/time_to_accuracy.py
	@python benchmarks/validation.py
	@python benchmarks/stage_memory.py
	@python benchmarks/serving speed
	@python benchmarks/serving load L9 L1 L3 L5 L6 K9

.PHONY: setup
setup: $(READY) ## Make the virtual environment (.venv) from the lock, nothing else

.PHONY: lock
lock: $(READY) ## Resolve pyproject.toml anew into the lock files
	@python scripts/lock.py

$(READY): requirements.lock $(wildcard requirements/*.lock) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Waymark needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "Setting up $(VENV): some 270 pinned packages, a minute or more without a word …" >&2
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) --require-hashes -r requirements/build.lock
	@# The CPU build of torch where the package index offers it, else the ordinary build with its CUDA libraries.
	@$(PIP) --require-hashes -r requirements/torch-cpu.lock 2>$(VENV)/torch.log || \
	  { grep -q 'No matching distribution' $(VENV)/torch.log || { cat $(VENV)/torch.log >&2; exit 1; }; \
	    $(PIP) --require-hashes -r requirements/torch-cuda.lock; }
	@$(PIP) --require-hashes -r requirements.lock
	@$(PIP) --editable .
	@touch $@
