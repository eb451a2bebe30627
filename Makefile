# Everything that is done with this tree by hand or by CI. Each target does its own set-up; a second time it costs nothing.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory
.PHONY: help install dist demo bare-demo test checked prepared together alone lint format types layers tree generated docs pytest fuzz unit oldest newest pythons bench chaos soak images up down protos release-contract lock console-dev servers clean

# What is imported is compiled once, not by each of the many processes that a test or a measurement starts.
export PYTHONDONTWRITEBYTECODE :=

packages := $(sort $(dir $(wildcard broker/isthmus_*/ agent/isthmus_*/ services/*/isthmus_*/)))
# Those whose files take longest come first: a worker that begins one of them last would go on alone for minutes.
suites := $(addprefix tests/,conformance projects docs console contract fuzz integration unit)
# A worker for each processor. A file's tests stay together.
side_by_side := --numprocesses $(shell nproc) --dist loadfile --no-loadscope-reorder
# What depends on how a broker counts, refuses and settles: on the installed RabbitMQ, and on the newest that there is.
on_both_brokers := $(addprefix tests/integration/,broker/test_instructions.py broker/test_settlement.py broker/test_telemetry.py \
  monitor/test_accounts.py monitor/test_ingest.py monitor/test_shares.py)
# Beside busy loops each test has to pass at once.
busy_or_again := $(if $(STRESS),scripts/stressed,scripts/once-more)
NEWEST := 3.14
# By another name, for what make would otherwise execute even where it is asked what it would do: an engine of containers.
again := $(MAKE)
projects := $(wildcard */pyproject.toml services/*/pyproject.toml)
web := services/console/web
# The scripts and styles of the console's pages, and the document of its API, built.
console := services/console/isthmus_console/static/manifest.json

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

install: .venv/.ready $(console) ## make .venv, with every part and every tool in it

dist: $(console) .venv-uv/installed ## build wheels and sdists of every part, and of isthmus, which brings them all, into dist/
	@scripts/dist

demo: .venv/.ready $(console) ## start everything, run a job of the example on it, show the outcome, stop everything
	@.venv/bin/python scripts/demo

bare-demo: ## make demo in a root of Debian that has python3, make and ca-certificates alone (RELEASE=bookworm)
	@scripts/bare-demo $(RELEASE)

test: .venv/.ready $(console) servers ## every check and every test, on real servers
	@scripts/engine run sh -c "$(again) checked prepared together alone oldest newest"

checked: lint types layers tree generated docs

# What only some tests need, and takes minutes of waiting for indexes and mirrors on a machine that has nothing yet.
prepared: .venv-uv/installed
	@.venv-uv/bin/python scripts/images
	@.venv/bin/python scripts/pythons --list $(NEWEST)
	@$(MAKE) .venv-dagster-oldest/.ready

lint: .venv/.ready ## ruff: rules and format
	@echo "· ruff"
	@.venv/bin/ruff check --quiet .
	@.venv/bin/ruff format --check --quiet . || { echo "Not formatted; mend with: make format" >&2; exit 1; }

format: .venv/.ready ## let ruff format the tree and mend what it can
	@.venv/bin/ruff check --quiet --fix .; .venv/bin/ruff format .

types: .venv/.ready $(console) ## mypy, strict, over packages and tests, and TypeScript over the console's pages
	@echo "· mypy"
	@.venv/bin/mypy --no-error-summary $(packages) tests benchmarks examples/bike_share/bike_share scripts/docs_hook.py scripts/docs_pages
	@.venv/bin/mypy --no-error-summary --scripts-are-modules $(addprefix scripts/,check-tree demo images record-tutorial \
	  openapi release-contract pythons stack with-index)
	@echo "· tsc"
	@cd $(web) && PATH=$(CURDIR)/.venv/bin:$$PATH node_modules/.bin/tsc

layers: .venv/.ready ## import-linter: who may know whom
	@echo "· import-linter"
	@.venv/bin/lint-imports --no-logo || { echo "The contracts are in pyproject.toml, [tool.importlinter]." >&2; exit 1; }

tree: .venv/.ready ## sizes, and locks that fit the declared dependencies and name no host
	@echo "· sizes and locks"
	@.venv/bin/python scripts/check-tree

generated: .venv-codegen/.ready ## generating the contract's code anew changes nothing
	@echo "· generated code"
	@scripts/check-generated

docs: .venv/.ready ## build the documentation as a site into build/site, and check every link in it
	@echo "· documentation: build/site/index.html"
	@NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --quiet --strict

pytest: .venv/.ready $(console) .venv-uv/installed servers ## all tests on this machine's Python and the newest Dagster (STRESS=1: beside busy loops)
	@scripts/engine run sh -c '.venv-uv/bin/python scripts/images && $(again) together alone'

together: .venv/.ready $(console) servers
	@echo "· pytest, side by side"
	@$(busy_or_again) .venv/bin/pytest -q -m "not alone" $(side_by_side) $(suites)
	@echo "· pytest, on the newest RabbitMQ"
	@ISTHMUS_TEST_BROKER=container $(busy_or_again) .venv/bin/pytest -q $(side_by_side) $(on_both_brokers)

alone: .venv/.ready $(console) servers
	@echo "· pytest, one by one"
	@$(busy_or_again) .venv/bin/pytest -q -m alone tests/integration
	@$(busy_or_again) .venv/bin/pytest -q tests/e2e

fuzz: .venv/.ready servers ## a million hostile messages at the real decoders and handlers (MESSAGES=1000000 SEED=1), an hour at the most
	@ISTHMUS_FUZZ_MESSAGES=$(or $(MESSAGES),1000000) ISTHMUS_FUZZ_SEED=$(or $(SEED),1) \
	  timeout 3600 .venv/bin/pytest -q --numprocesses 2 --dist load tests/fuzz

projects: .venv/.ready servers ## projects as users have them, each run again and again beside busy loops (REPETITIONS=20)
	@ISTHMUS_PROJECT_REPETITIONS=$(or $(REPETITIONS),20) scripts/stressed .venv/bin/pytest -q -o timeout=3600 tests/projects

unit: .venv/.ready $(console) ## the tests that need no server
	@.venv/bin/pytest -q tests/unit

oldest: .venv-dagster-oldest/.ready .venv/.ready servers ## the code server's contract tests, and ticks beside Dagster's daemon, on the oldest Dagster
	@echo "· pytest, code server on Dagster $$(.venv-dagster-oldest/bin/python -c 'import dagster; print(dagster.__version__)')"
	@scripts/once-more .venv-dagster-oldest/bin/python -m pytest -q --numprocesses 2 --dist loadfile --confcutdir=tests/contract tests/contract/code_server
	@CONFORMANCE_PYTHON=$(CURDIR)/.venv-dagster-oldest/bin/python scripts/once-more .venv/bin/pytest -q --numprocesses 2 tests/conformance/test_ticks.py

newest: ## the unit and contract tests on the newest Python
	@$(MAKE) pythons VERSIONS=$(NEWEST)

pythons: .venv/.ready servers ## the unit and contract tests on every other Python that is supported and can be had (VERSIONS="3.14")
	@scripts/engine run .venv/bin/python scripts/pythons $(VERSIONS)

bench: .venv/.ready servers $(if $(filter 0,$(PEER)),,.venv-peer/.ready) ## measure, against Dagster itself (ONLY=launch,memory RUNS=100 PEER=0)
	@.venv/bin/python -m benchmarks $(if $(ONLY),--only $(ONLY)) $(if $(RUNS),--runs $(RUNS)) $(if $(filter 0,$(PEER)),--no-peer)

chaos: .venv/.ready servers ## two control planes and two monitors: killed, stopped, their clocks set, the database restarted, in minutes with ticks (ROUNDS=10)
	@ISTHMUS_CHAOS_ROUNDS=$(or $(ROUNDS),10) .venv/bin/pytest -q -rP -o timeout=7200 tests/e2e/test_two_control_planes.py

soak: .venv/.ready servers ## a year in minutes, retention on, and 5,000 runs of a code server: nothing grows (RUNS_A_DAY=400 DAYS=365)
	@PYTHONPATH=tests .venv/bin/python -m soak --runs-a-day $(or $(RUNS_A_DAY),400) --days $(or $(DAYS),365)
	@PYTHONPATH=tests .venv/bin/python -m soak.code_server_runs

images: .venv-uv/installed ## build the container images that are missing or out of date (PARTS="agent monitor" BASE=python:3.12-slim)
	@.venv-uv/bin/python scripts/images $(PARTS)

up: .venv/.ready ## start everything as containers, with an agent that keeps code servers beside itself
	@.venv/bin/python scripts/stack up

down: ## end what make up started, runs included (VOLUMES=1: forget the data too)
	@python3 scripts/stack down $(if $(VOLUMES),--volumes)

protos: .venv-codegen/.ready ## generate the contract's code from protos/isthmus/v1/*.proto
	@protos/generate.sh $(CURDIR)/.venv-codegen/bin/python

release-contract: .venv/.ready ## take the contract as it stands as the one that later ones must keep; for a release's commit alone
	@.venv/bin/python scripts/release-contract

lock: .venv-uv/installed ## resolve dependencies anew (UPGRADE=1: to the newest) and write the locks
	@scripts/lock $(if $(UPGRADE),--upgrade)

console-dev: .venv/.ready $(console) ## serve the console, built and started anew whenever its files change
	@scripts/console-dev

servers: ## install RabbitMQ, PostgreSQL, Docker, libfaketime and Chromium from the distribution where they are missing
	@scripts/servers rabbitmq postgresql docker faketime chromium

clean: ## remove environments, caches and the data of local runs
	rm -rf .venv .venv-* .isthmus build dist $(web)/node_modules services/console/isthmus_console/static .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

.venv/.ready: requirements.lock $(projects) scripts/bootstrap scripts/with-index scripts/uv.txt
	@scripts/bootstrap main
	@touch $@

$(console): .venv/.ready scripts/console-web scripts/openapi $(wildcard $(web)/*.json $(web)/build.mjs $(web)/src/* scripts/docs_pages/*.py protos/isthmus/v1/*.proto)
	@scripts/console-web
	@touch $@

.venv-codegen/.ready: protos/codegen.lock scripts/bootstrap scripts/with-index scripts/uv.txt
	@scripts/bootstrap codegen
	@touch $@

.venv-dagster-oldest/.ready: tests/dagster-oldest.lock $(projects) scripts/bootstrap scripts/with-index scripts/uv.txt
	@scripts/bootstrap dagster-oldest
	@touch $@

.venv-peer/.ready: benchmarks/peer.lock scripts/bootstrap scripts/with-index scripts/uv.txt
	@scripts/bootstrap peer
	@touch $@

.venv-uv/installed: scripts/uv.txt
	@scripts/bootstrap uv
