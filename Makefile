# `make demo` and `make test` are all that most people need. Times are for two cores.

export CARGO_TARGET_DIR ?= $(CURDIR)/target
tools := $(CARGO_TARGET_DIR)/tools/bin
export PATH := $(PATH):$(tools)

.PHONY: help bench demo servers lint deny tools test test-compat test-truth test-walk test-faults test-laws test-fuzz test-editor

help:
	@echo 'make demo      the main job on real API servers: builds what is missing, then under a minute'
	@echo 'make servers   build the test servers (etcd, kube-apiserver, ...): once, 5 to 10 minutes'
	@echo 'make test      everything that a change must pass'
	@echo 'make test-walk    every field of a cluster, compared with a fresh one at every step: 5 minutes'
	@echo 'make test-truth   what plans say of 320 random changes, beside what really restarts: 10 minutes'
	@echo 'make test-compat  the core of the tests on the oldest supported API server, 1.33: builds it once, 5 minutes'
	@echo 'make test-fuzz    hostile inputs for every reader, FUZZ_SECONDS (60) each, and huge ones: 10 minutes'
	@echo 'make test-editor  the schemas in the language server of editors; needs Node 20 and npm: a minute'
	@echo 'make test-faults  an apply of 50 clusters killed at each of its requests, and the operator at its first: 10 to 15 minutes'
	@echo 'make test-laws    two syncs and a command line at one hub, with faults, PROPTEST_CASES (200) of each law: 15 minutes'
	@echo 'make bench     what a control plane costs the operator, a fleet to apply beside bare loaders, a plan beside kubectl: 20 minutes'
	@echo 'make lint      format, clippy, documentation, licences: no tests'
	@echo 'make tools     install cargo-deny into target/tools: once, 5 minutes'

servers:
	tests/servers/build.sh

demo: servers
	cargo build --bin k0smotron-fleet --example demo
	$(CARGO_TARGET_DIR)/debug/examples/demo $(CARGO_TARGET_DIR)/debug/k0smotron-fleet

bench: servers
	cargo bench --bench files --bench operator --bench fleet --bench plan

lint:
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --no-deps

# Continuous integration sets DENY=1. A person without the tool is told once and not kept waiting for it.
deny:
	@if command -v cargo-deny >/dev/null; then \
	  cargo deny --log-level warn check bans licenses sources; \
	elif [ -n "$(DENY)" ]; then \
	  $(MAKE) tools && cargo deny --log-level warn check bans licenses sources; \
	else \
	  echo 'not checked: bans, licences and sources, for want of cargo-deny (`make tools` installs it)'; \
	fi

tools:
	env -u CARGO_TARGET_DIR cargo install cargo-deny --locked --version '^0.20' --root $(CARGO_TARGET_DIR)/tools

# The last line is the sum over all test binaries, `N passed, N failed`.
test: servers lint deny
	tests/run.sh

test-walk: servers
	WALK=whole tests/run.sh --test it fields::

# TRUTH_SEED tries other changes; the seed is printed.
test-truth: servers
	TRUTH_CHANGES=320 tests/run.sh --test it truth:: -- --nocapture

test-faults: servers
	FAULTS=whole tests/run.sh --test it -- cli_faults operator::crash

# In memory: no servers are needed.
test-laws: export PROPTEST_CASES ?= 200
test-laws:
	tests/run.sh --lib sync::laws

# Hosted objects, server-side apply that only creates, CRDs with their rules, plan and apply.
test-compat:
	KUBERNETES_MINOR=1.33 tests/servers/build.sh
	KUBERNETES_MINOR=1.33 tests/run.sh --test it -- operator:: engine_ api_ cli_fleet render_golden --skip operator::crash

# Unoptimised on purpose: sums that overflow are caught. No nightly toolchain, so inputs are not led by coverage.
test-fuzz: export FUZZ_SECONDS ?= 60
test-fuzz:
	cargo test --test fuzz -- --test-threads=1 --nocapture

# The server of https://github.com/redhat-developer/yaml-language-server, from its package. Nothing else needs Node.
editor := $(CARGO_TARGET_DIR)/tools/editor
test-editor:
	mkdir -p $(editor)
	cp tests/editor/package.json tests/editor/package-lock.json $(editor)
	cd $(editor) && npm ci --no-audit --no-fund
	node tests/editor/check.mjs $(editor)/node_modules/yaml-language-server/bin/yaml-language-server schemas
