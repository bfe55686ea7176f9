.PHONY: help environment demo test test-system lint bench bench-history bench-rules bench-scale
.DEFAULT_GOAL := help

PYTHON := .venv/bin/python

help:
	@echo 'make demo          a governed request on this machine, from nothing   (ARGS=--once: one round, then exit)'
	@echo 'make test          lint, types, contracts, then all tests that Python packages alone can run'
	@echo 'make test-system   the tests that need Debian packages or minutes'
	@echo 'make lint          what `make test` begins with'
	@echo 'make bench         speed, beside other gateways'
	@echo '                   (make bench-history: on ten million past entries; bench-scale: what these cost to keep and'
	@echo '                   to ask; bench-rules: with thousands of rules, and with rules that change)'

environment:
	@spendra/development/bootstrap/prepare

# `exec`: the signal that ends make must reach the program itself.
demo: environment
	@exec $(PYTHON) manage.py demo $(ARGS)

lint: environment
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	.venv/bin/lint-imports
	$(PYTHON) -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run

test: lint
	$(PYTHON) -m pytest -n 2 --dist worksteal -m 'not system' $(ARGS)

test-system: environment
	@tests/missing-debian-packages
	$(PYTHON) -m pytest -m system $(ARGS)

bench: environment
	@exec $(PYTHON) -m bench $(ARGS)

bench-history: environment
	@exec $(PYTHON) -m bench.history $(ARGS)

bench-rules: environment
	@exec $(PYTHON) -m bench.rules $(ARGS)

bench-scale: environment
	@exec $(PYTHON) -m bench.scale $(ARGS)
