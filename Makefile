# make run | test | check | help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
SOURCES := serving orchestrator export gradcam tests benchmarks

.DEFAULT_GOAL := help
.PHONY: torch screenshots help run test test-fast check format-check lint types imports fix bench soak lock stack-test dashboards env-example manifests rules proto clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

run: $(VENV)/.run ## start the whole service on port 5000 (PORT, DATA_DIR, MODEL_PATH)
	@exec $(BIN)/cxr up

test: $(VENV)/.dev ## run every test
	$(BIN)/pytest

test-fast: $(VENV)/.dev ## run the tests that need no TensorFlow
	$(BIN)/pytest -m "not tensorflow and not slow"

check: $(VENV)/.dev format-check lint types imports ## everything CI runs, but for PyTorch (make torch)
	$(BIN)/pytest

format-check: $(VENV)/.dev
	$(BIN)/ruff format --check $(SOURCES)

lint: $(VENV)/.dev
	$(BIN)/ruff check $(SOURCES)

types: $(VENV)/.dev
	$(BIN)/mypy

imports: $(VENV)/.dev
	$(BIN)/lint-imports

fix: $(VENV)/.dev ## format, and mend what the linter can mend
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

torch: $(VENV)/torch/.installed ## install PyTorch, for one test of the weight importer

bench: $(VENV)/.dev ## measure beside others, check the bounds, write docs/performance.md (half an hour)
	$(BIN)/python -m benchmarks

soak: $(VENV)/.dev ## kill at random under load, and see that nothing is lost (SECONDS, SEED)
	$(BIN)/python -m benchmarks.soak

screenshots: $(VENV)/.dev ## take the pictures of the page in docs/images anew (Chromium)
	CXR_ENV_FILE=/dev/null $(BIN)/python -m tests.page.screenshots

lock: $(VENV)/.dev ## pin every dependency anew, with hashes
	for parts in "base:pyproject.toml" "run:pyproject.toml --extra embedded --extra dashboard --extra demo" \
	    "dev:pyproject.toml --extra dev" "service:pyproject.toml --extra dashboard --extra tracing" \
	    "export:pyproject.toml --extra model" "build:--group build" \
	    "rivals-bentoml:--group rivals-bentoml" "rivals-litserve:--group rivals-litserve" \
	    "rivals-naive:--group rivals-naive"; do \
	  $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-header --no-annotate $(UPGRADE) $${parts#*:} \
	    --output-file requirements/$${parts%%:*}.txt || exit 1; \
	done

stack-test: $(VENV)/.dev ## run the stack of compose.yaml, use it and take it down (STAND_INS=yes, RADIOGRAPH, SCREENSHOT)
	$(BIN)/python -m tests.containers.stack $(if $(STAND_INS),--stand-ins) \
	    $(if $(RADIOGRAPH),--radiograph $(RADIOGRAPH)) $(if $(SCREENSHOT),--screenshot $(SCREENSHOT))

dashboards: $(VENV)/.dev ## draw the dashboards of monitoring/ from a real Prometheus under load, into docs/images
	CXR_ENV_FILE=/dev/null $(BIN)/python -m tests.monitoring.pictures

env-example: $(VENV)/.dev ## write .env.example out of the settings
	$(BIN)/python -m tests.containers.env_example

manifests: $(VENV)/.dev ## build k8s/ in every combination, and check what comes out
	$(BIN)/python -m tests.k8s
	$(BIN)/pytest --quiet tests/k8s

rules: $(VENV)/.dev ## write the alert rules of k8s/ out of monitoring/
	$(BIN)/python -m tests.k8s.rules

proto: $(VENV)/.dev ## generate the gRPC messages anew
	$(BIN)/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. orchestrator/model/wire.proto

clean: ## remove what make has made; leaves the data folder alone
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache *.egg-info

# One environment serves both: the development set holds everything that the running set does, and is the one to be
# brought up to date where it has been installed.
ifeq ($(wildcard $(VENV)/.dev),)
$(VENV)/.run: requirements/run.txt pyproject.toml | $(VENV)/bin/python
	@$(PIP) --require-hashes -r requirements/run.txt
	@$(PIP) --no-deps --editable .
	@touch $@
else
$(VENV)/.run: $(VENV)/.dev
	@touch $@
endif

$(VENV)/.dev: requirements/dev.txt pyproject.toml | $(VENV)/bin/python
	@$(PIP) --require-hashes -r requirements/dev.txt
	@$(PIP) --no-deps --editable .
	@touch $@

$(VENV)/torch/.installed: requirements/torch.txt | $(VENV)/bin/python
	@$(PYTHON) -m venv $(VENV)/torch
	@$(VENV)/torch/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r $<
	@touch $@

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14) and "Python 3.11, 3.12 or 3.13 is needed, as TensorFlow has no other; set PYTHON")'
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; } # without pip it is none
