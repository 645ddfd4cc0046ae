# Everything that a developer does, each by one word. `make help` lists the words.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
PORT ?= 8000
DATA ?= data
N ?=
BIN := .venv/bin
GATEWAY := $(BIN)/gateway
CARD := rules/REFERENCE.md
TEXTMATE := gateway/editor/syntaxes/rules.tmLanguage.json

# without the bytecode that Python keeps, each command would compile 360 modules first: half a second
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup run demo test check fmt lint types rules openapi-check bench misspelt corpus tables faults fuzz leaks interop coverage security audit sbom lock clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: .venv/ready ## make .venv from the hash-pinned lock

.venv/ready: requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "needs Python 3.11 or later: install it, or say make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "needs Python 3.11 or later, $(PYTHON) is older: say make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

run: setup ## serve on http://localhost:PORT with a demo data folder (PORT=8000 DATA=data)
	@$(GATEWAY) serve --demo --data "$(DATA)" --port $(PORT)

demo: setup ## with `make run` in another terminal: send samples of every kind and find what was stored
	@$(GATEWAY) demo --data "$(DATA)" --url http://localhost:$(PORT)

# a file system in memory, if there is one with room: the tests wait for a disk some thousands of times
MEMORY := $(shell df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 && $$4 > 4000000 {print "/dev/shm"}')

test: export PYTEST_DEBUG_TEMPROOT ?= $(MEMORY)
test: setup ## run the tests (long suites in bounded samples)
	$(BIN)/python -m pytest -n 2 --dist loadgroup --no-loadscope-reorder -p no:schemathesis -m "not interop" $(ARGS)

check: setup lint security types rules openapi-check test ## all that CI checks, but for the real peers

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

security: setup ## look for insecure habits in the code (bandit; exemptions stand in pyproject.toml and in the lines)
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive gateway

audit: setup ## ask for known faults of the locked packages; exit 3 where no advisory service can be reached
	@$(BIN)/python .ci/audit.py --command $(BIN)/pip-audit requirements-run.lock requirements.lock

sbom: setup ## write build/sbom.json, what a deployment is made of (CycloneDX)
	@mkdir -p build
	$(BIN)/cyclonedx-py requirements requirements-run.lock --pyproject pyproject.toml --output-reproducible \
	  --of JSON --output-file build/sbom.json

types: setup
	$(BIN)/mypy --strict gateway tests

rules: setup
	$(GATEWAY) rules fmt --check rules
	$(GATEWAY) rules check rules
	$(GATEWAY) rules test rules
	$(GATEWAY) rules card --check $(CARD)
	$(GATEWAY) rules textmate --check $(TEXTMATE)
	$(GATEWAY) specs build --check

openapi-check: setup
	$(GATEWAY) openapi --check openapi/openapi.json

fmt: setup ## format the code and the rules, and write what is made of the rules language
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(GATEWAY) rules fmt rules
	$(GATEWAY) rules card --write $(CARD)
	$(GATEWAY) rules textmate --write $(TEXTMATE)

bench: setup ## measure, and write tests/bench/results.md; with N=1000000 memory alone, over so many messages
	$(BIN)/python -m tests.bench $(if $(N),--only memory --messages $(N)) $(ARGS)

misspelt: setup ## misspell every word of the shipped rules, not a sample alone (some minutes)
	GATEWAY_MISSPELT=all $(BIN)/python -m pytest --timeout=3600 tests/conformance/rules/test_misspelt.py

corpus: setup ## send every file of the shared corpus, and write tests/conformance/results.md
	$(BIN)/python -W ignore -m tests.conformance.corpus

tables: setup ## count what the maps express of the guide's tables, and write it into tests/conformance/results.md
	$(BIN)/python -W ignore -m tests.conformance.guide_coverage

faults: setup ## kill -9, restarts, full disks and more under load (N= for how often), and write tests/fault/results.md
	$(BIN)/python -m tests.fault $(if $(N),--times $(N)) $(ARGS)

fuzz: setup ## run N mutated messages (20000) through reader, validator and converter; the 1000000 take some twenty minutes on two cores
	$(BIN)/python -m tests.property.fuzz $(if $(N),--inputs $(N)) $(ARGS)

leaks: setup ## the leak suite, and N pairs of stores that differ in what is hidden alone (N=10000 takes some minutes)
	GATEWAY_LEAKS=all GATEWAY_PAIRS=$(or $(N),1000) $(BIN)/python -m pytest tests/conformance/test_leaks.py tests/property/test_two_worlds.py $(ARGS)

interop: export GATEWAY_WHOLE = 1
interop: export GATEWAY_INTEROP = required
interop: export GATEWAY_ARTIFACTS ?= $(CURDIR)/build/screenshots
interop: setup ## tests with real peers (PostgreSQL, strace, Chromium, Java, HAPI, Medplum), each must be there; pictures go to build/screenshots
	$(BIN)/python -m pytest tests/unit tests/property tests/fault -m interop $(ARGS)
	$(BIN)/python -m pytest -n 2 --dist loadgroup $$(grep -rl --include='test_*.py' tests.bounded tests) -m "not interop" $(ARGS)
	GATEWAY_LEAKS=all $(BIN)/python -m pytest tests/conformance/test_leaks.py $(ARGS)
	$(BIN)/python -m pytest tests/interop tests/conformance -m "interop or any_record" --record=hapi $(ARGS)
	$(BIN)/python -m pytest -n 2 --dist loadgroup tests/conformance -m any_record --record=store $(ARGS)
	$(BIN)/python -m pytest -n 2 --dist loadgroup tests/conformance -m any_record --record=medplum $(ARGS)

coverage: ## what the runs with ARGS=--cov covered of gateway/, held at 95% of branches
	$(BIN)/python -m coverage report --skip-covered --fail-under=95

PIP_COMPILE := $(BIN)/pip-compile --quiet --allow-unsafe --generate-hashes --strip-extras \
  --no-emit-index-url --no-emit-trusted-host --no-emit-find-links

lock: setup ## resolve pyproject.toml again into requirements.lock, and what a container needs into requirements-run.lock
	$(PIP_COMPILE) --extra dev --output-file requirements.lock pyproject.toml
	$(PIP_COMPILE) --extra build --constraint requirements.lock --output-file requirements-run.lock pyproject.toml

clean: ## remove what was made here, but for the data folder
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*
