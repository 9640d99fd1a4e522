# klog: `make demo` and `make test` need Rust, Python 3.11 or later, a C compiler and the registries, nothing else.

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
TARGET := $(or $(CARGO_TARGET_DIR),target)
DEMO   := $(TARGET)/demo
# What hangs is ended with all its children after so many seconds, and the rest goes on. At a terminal there is Ctrl-C.
ALONE  := $(shell [ -t 0 ] || echo alone)
limit   = $(if $(ALONE),timeout --kill-after=60 $(1))
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet

# What the Python module is made of: when one of these changes, it is made again.
SOURCES := $(shell find core/src cli/src bindings-python/src bindings-python/python -type f -not -name '*.pyc') \
           Cargo.toml Cargo.lock $(wildcard */Cargo.toml) bindings-python/pyproject.toml

.PHONY: help
help: ## Say what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

.PHONY: setup
setup: $(TARGET)/setup.done $(TARGET)/python.done ## Install what the other targets need
	cargo build --release --quiet -p klog-c -p klog-cli

# Debian's packages make more tests run; without the right to install them, those tests say that they are skipped.
$(TARGET)/setup.done:
	@mkdir -p $(TARGET)
	@missing=; for program in valgrind g++; do command -v $$program >/dev/null || missing+=" $$program"; done; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get install -y -qq $$missing >/dev/null || { apt-get update -qq && apt-get install -y -qq $$missing >/dev/null; } \
	      || echo "SKIPPED: installing$$missing: apt-get failed"; \
	  else echo "SKIPPED: installing$$missing: it takes root and apt-get"; fi; \
	fi
	@touch $@

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("klog needs Python 3.11 or later") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

$(TARGET)/requirements.done: tests/python/requirements.txt | $(BIN)/python $(TARGET)/setup.done
	$(PIP) install -r $<
	@touch $@

$(TARGET)/python.done: $(SOURCES) | $(TARGET)/requirements.done
	$(PIP) install --force-reinstall --no-deps ./bindings-python
	@touch $@

.PHONY: demo
demo: setup ## Send a text through Python, read it through C, look at its bytes
	@examples/demo $(DEMO) $(TARGET)/release $(BIN)

.PHONY: test
test: setup ## Run every test: Rust, C, Python, the examples, the fuzz targets for 30 s each
	@rm -f $(TARGET)/test.log
	@{ failed=; \
	   $(call limit,3600) cargo test --workspace --no-fail-fast -- --show-output || failed+=" rust-and-c"; \
	   $(call limit,1200) $(BIN)/python -m pytest -q -rs tests/python || failed+=" python"; \
	   KLOG_FUZZ_SEED=$${KLOG_FUZZ_SEED:-1} fuzz/run 30 || failed+=" fuzz"; \
	   [ -z "$$failed" ] || echo "FAILED:$$failed"; } 2>&1 | tee $(TARGET)/test.log
	@echo "skipped: $$(grep -c '^SKIPPED' $(TARGET)/test.log || true)"
	@grep '^SKIPPED' $(TARGET)/test.log || true
	@grep -E '^FAILED|^test .* FAILED$$|^error: |^thread .* panicked' -A1 $(TARGET)/test.log || true
	@! grep -q '^FAILED:' $(TARGET)/test.log

.PHONY: test-kafka
test-kafka: setup ## Let Apache Kafka itself read what klog wrote, and go on with it (needs a JDK and Maven)
	tests/kafka/run $(TARGET)/release/klog

.PHONY: lint
lint: ## Check formatting, lints and documentation
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet

.PHONY: bench
bench: setup ## Compare klog with the least work that could be done
	cargo bench -p klog-bench
	$(BIN)/python bench/python.py

.PHONY: campaign
campaign: setup ## Run the long tiers; their logs go to docs/testing
	tests/campaign

.PHONY: clean
clean: ## Remove what was made
	rm -rf $(VENV)
	cargo clean --quiet
