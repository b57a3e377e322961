# SPDX-License-Identifier: Apache-2.0
# Every target makes its own environment first (.venv); nothing but Python 3.10, a C++ compiler and
# make needs to be there.

# Tests and pipelines start many processes: without compiled files beside the sources, each would
# compile TFX anew, which takes longer than most of them.
unexport PYTHONDONTWRITEBYTECODE

CORPUS ?= synthetic
CORPUS_DIR ?=

.PHONY: help
help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12

.PHONY: setup
setup:  ## the environment alone
	@scripts/setup.sh

.PHONY: demo
demo: setup  ## from a corpus to a served recogniser: CORPUS=synthetic, or CORPUS=an4 CORPUS_DIR=DIR
	@.venv/bin/python -m demo --corpus $(CORPUS) $(if $(CORPUS_DIR),--corpus-directory "$(CORPUS_DIR)")

.PHONY: kenlm
kenlm: setup  ## the programs that make language models, into .tools
	@scripts/build_kenlm.sh

.PHONY: test
test: setup  ## all tests, the slow ones too
	@scripts/build_kenlm.sh || echo "the tests that make language models will be skipped" >&2
	.venv/bin/python -m pytest tests

.PHONY: test-fast
test-fast: setup  ## without whole runs
	.venv/bin/python -m pytest tests -m "not slow"

.PHONY: lint
lint: setup  ## style
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

.PHONY: lock
lock:  ## record the versions in .venv
	@sed -n '/^#/p' requirements.lock > requirements.lock.new
	@.venv/bin/uv pip freeze -q --python .venv/bin/python | grep -v '^-e' >> requirements.lock.new
	@mv requirements.lock.new requirements.lock

.PHONY: clean
clean:  ## remove the environment and what the demo made
	rm -rf .venv .demo .tools build ds2_tf/decoding/*.so
