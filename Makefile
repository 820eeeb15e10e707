# Atoll. `make` alone lists what there is. Every target makes its own environment first.
.DEFAULT_GOAL := help
.PHONY: help demo test test-spark check bench docs clean
ARGS ?=
PY := .venv/bin/python

help:  ## list these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | awk -F '\t' '{ printf "make %-10s %s\n", $$1, $$2 }'

demo:  ## three hospitals answer one question, on this machine (ARGS=--json for a machine-readable story)
	@tools/setup run
	@exec $(PY) -m demo $(ARGS)

test:  ## run every test; starts real servers on loopback and stops them
	@tools/setup dev
	@tools/parts
	@$(PY) -m pytest -n logical --dist loadfile -m "not spark" $(ARGS)

test-spark:  ## run the plans on Apache Spark 4.0 with Delta and S3A (Java 17, about 1 GB of jars, once)
	@tools/setup dev
	@tools/parts --spark
	@$(PY) -m pytest -m spark tests/integration/test_spark_apache.py $(ARGS)

check:  ## ruff, mypy strict, the laws of the house
	@tools/setup dev
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports

bench:  ## measure side by side and write bench/RESULTS.md (ARGS=--quick for small data)
	@tools/setup dev
	@$(PY) -m bench $(ARGS)

docs:  ## write the reference pages that are made from the code
	@tools/setup dev
	@$(PY) tools/make_docs.py $(ARGS)

clean:  ## remove the environment and what demo and tests wrote
	@rm -rf .venv demo-out .hypothesis .mypy_cache .ruff_cache .import_linter_cache
