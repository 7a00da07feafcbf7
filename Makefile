# Two commands for everybody: `make run` shows a demonstration, `make test` checks everything.
# All targets that need the environment .venv create or repair it first.

.PHONY: help run test test-long setup lint types tests rules format lock bench bench-quick chaos clean

BIN := .venv/bin
# Suits two or more cores: two of the four processes run a broker each and mostly wait, and the other two compute.
WORKERS ?= 4
SECONDS ?= 600

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 13

run: setup ## start a local Kafka and workers, play a story of three weeks, show what happens
	@$(BIN)/carerelay run

test: setup lint types tests ## linters, types and all tests, including those on a real Kafka

setup: ## create or repair .venv from requirements.lock
	@.ci/setup

lint: setup ## ruff: rules and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: setup ## mypy --strict
	@$(BIN)/mypy

tests: setup ## all tests, without linters and types
	@$(BIN)/pytest -n $(WORKERS) --durations=20

test-long: setup lint types ## the same with long random tests; SEED=7 repeats a run; at most an hour on two cores
	@seed=$${SEED:-$$(date +%s)}; echo "seed: $$seed"; PROOF_SEQUENCES=10000 PROOF_SEED=$$seed \
	  CHAOS_SECONDS=$(SECONDS) CHAOS_SEED=$$seed $(BIN)/pytest -n $(WORKERS) --durations=20

rules: setup ## generate the pages and the test table from the rules, then test the rules
	@$(BIN)/python tests/rules/renew_rules.py
	@$(BIN)/ruff format -q tests/rules/test_boundaries.py
	@$(BIN)/pytest -q -n $(WORKERS) --dist loadfile tests/rules

format: setup ## fix what ruff can fix, and format
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

lock: setup ## write requirements.lock from pyproject.toml (needs pip-tools on the path)
	@.ci/lock

bench: setup ## run the benchmarks on this machine; writes bench/RESULTS.md
	@$(BIN)/python -m bench

bench-quick: setup ## run short benchmarks, in a few minutes
	@$(BIN)/python -m bench --quick

chaos: setup ## kill and pause workers and broker under load, and count every effect; SECONDS=600 SEED=7
	@CHAOS_SECONDS=$(SECONDS) CHAOS_SEED=$(SEED) $(BIN)/python -m pytest tests/chaos -n 0 -s

clean: ## remove the environment, the local Kafka and all generated files
	@rm -rf .venv .run .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
