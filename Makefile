# Everything a person or CI does with this repository. `make help` lists the targets.

SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
PYTHON := $(VENV)/bin/python
STAMP := $(VENV)/.installed

.PHONY: help demo test unit cluster e2e verify format generate lock image cluster-up cluster-down bench

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(STAMP): requirements-dev.lock pyproject.toml hack/venv.sh
	@hack/venv.sh $(VENV)
	@touch $@

demo: $(STAMP) ## a real cluster, AOS installed, one agent at work, one call for you to approve (YES=1 does); leaves the cluster up
	@$(PYTHON) -m hack.demo $(if $(YES),--yes)

test: $(STAMP) ## every layer: unit, control plane, node; FRESH=1 runs what passed before with the same inputs too
	@$(PYTHON) -m hack.test

unit: $(STAMP) ## the unit tests alone
	@$(PYTHON) -m hack.test unit

cluster: $(STAMP) ## the tests against a real API server alone
	@$(PYTHON) -m hack.test cluster

e2e: $(STAMP) ## the tests on a real node alone (or against KUBECONFIG)
	@$(PYTHON) -m hack.test e2e

verify: $(STAMP) ## format, lint, types, layers, generated files; fails on a dirty tree
	@$(PYTHON) -m hack.verify

format: $(STAMP) ## let the formatter and the safe fixes have their way
	@$(VENV)/bin/ruff format .
	@$(VENV)/bin/ruff check --fix .

generate: $(STAMP) ## write crds/, the chart's admission policies and docs/reference/ from the code
	@$(PYTHON) -m hack.generate

lock: $(STAMP) ## resolve the dependencies anew
	@hack/lock.sh $(VENV)

image: $(STAMP) ## build the container image
	@$(PYTHON) -m hack.image build

cluster-up: $(STAMP) ## bring the local cluster up
	@$(PYTHON) -m hack.cluster up

cluster-down: $(STAMP) ## end the local cluster and leave nothing of it
	@$(PYTHON) -m hack.cluster down

bench: $(STAMP) ## the benchmarks (minutes); prints ratios
	@$(PYTHON) -m tests.bench
