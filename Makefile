# Two commands for everyone: `make run` shows it at work, `make test` checks everything.
# The environment is .venv; every other target makes or repairs it first.

.PHONY: help run test setup lint types tests rules format lock bench bench-quick chaos clean

BIN := .venv/bin
# Two processes own brokers and mostly wait; the others compute meanwhile: for two cores and more.
WORKERS ?= 4
SECONDS ?= 600

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

run: setup ## start a local Kafka and a worker, play a story of three weeks, show what comes out
	@$(BIN)/carerelay run

test: setup lint types tests ## linters, types and all tests, those on a real Kafka too

setup: ## make or repair .venv from requirements.lock
	@.ci/setup

lint: setup ## ruff: rules and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: setup ## mypy --strict
	@$(BIN)/mypy

tests: setup ## the tests alone
	@$(BIN)/pytest -n $(WORKERS) --durations=20

rules: setup ## write the pages and the test table that are made from the rules, then test the rules
	@$(BIN)/python tests/rules/renew_rules.py
	@$(BIN)/ruff format -q tests/rules/test_boundaries.py
	@$(BIN)/pytest -q -n $(WORKERS) --dist loadfile tests/rules

format: setup ## let ruff mend what it can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

lock: setup ## pin requirements.lock again from pyproject.toml (needs pip-tools on the path)
	@.ci/lock

bench: setup ## the measurements, on this machine; writes bench/RESULTS.md
	@$(BIN)/python -m bench

bench-quick: setup ## a short form of them, a few minutes
	@$(BIN)/python -m bench --quick

chaos: setup ## kill and pause workers and broker under load, count every effect; SECONDS=600 SEED=7
	@CARERELAY_CHAOS_SECONDS=$(SECONDS) CARERELAY_CHAOS_SEED=$(SEED) $(BIN)/python -m pytest tests/chaos -n 0 -s

clean: ## remove the environment, the local Kafka and everything made
	@rm -rf .venv .run .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
