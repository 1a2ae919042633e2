# Two commands matter: `make demo` shows the main job through a real Envoy, `make test` proves it.
# Both set up what they need in .tools/ and say what is missing on the machine.

.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c

PYTHON := .tools/venv/bin/python
COMMA := ,
BINARY := target/debug/atlassian-authz
# Linked statically: the image holds nothing to link with.
IMAGE_TARGET := $(shell uname -m)-unknown-linux-gnu
# Keycloak and Tomcat need a JDK, Prometheus, with its promtool, a Debian, buildah root or a user that it may map. SKIP_KEYCLOAK=1, SKIP_TOMCAT=1,
# SKIP_PROMTOOL=1 and SKIP_BUILDAH=1 leave them out, and the summary of `make test` says so.
SKIP_KEYCLOAK ?=
SKIP_TOMCAT ?=
SKIP_PROMTOOL ?=
SKIP_BUILDAH ?=
export SKIP_KEYCLOAK SKIP_TOMCAT SKIP_PROMTOOL SKIP_BUILDAH

PARTS := envoy postgres git gitleaks helm protos deploy-schemas
PARTS += $(if $(filter 1,$(SKIP_KEYCLOAK)),,keycloak)
PARTS += $(if $(filter 1,$(SKIP_TOMCAT)),,tomcat)
PARTS += $(if $(filter 1,$(SKIP_PROMTOOL)),,promtool prometheus)
PARTS += $(if $(filter 1,$(SKIP_BUILDAH)),,buildah)
WITHOUT_KEYCLOAK := $(if $(filter 1,$(SKIP_KEYCLOAK)),$(COMMA) WITHOUT Keycloak (SKIP_KEYCLOAK=1))
WITHOUT_TOMCAT := $(if $(filter 1,$(SKIP_TOMCAT)),$(COMMA) WITHOUT Tomcat (SKIP_TOMCAT=1))
WITHOUT_PROMTOOL := $(if $(filter 1,$(SKIP_PROMTOOL)),$(COMMA) WITHOUT Prometheus (SKIP_PROMTOOL=1))
WITHOUT_BUILDAH := $(if $(filter 1,$(SKIP_BUILDAH)),$(COMMA) WITHOUT buildah (SKIP_BUILDAH=1))

.PHONY: help demo test test-faults soak fuzz mutants test-kubernetes setup lint unit deploy dashboard image bench performance docs docs-check deny clean

help: ## Show this
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

demo: ## A real Envoy, a real OIDC server, a stand-in for Jira: see it work (5 minutes the first time)
	@scripts/setup.py envoy oidc
	cargo build --release --locked
	@scripts/demo.py

test: setup lint unit deploy docs-check ## Everything: lints, unit and property tests, attacks through the real Envoy, Keycloak, Tomcat, manifests, alerts, pages
	@scripts/demo.py --once --binary $(BINARY)
	@echo "make test: passed$(WITHOUT_KEYCLOAK)$(WITHOUT_TOMCAT)$(WITHOUT_PROMTOOL)$(WITHOUT_BUILDAH)"

setup:
	@scripts/setup.py oidc $(PARTS)

lint: ## Format, clippy, documentation: no warnings
	cargo fmt --all --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy --locked --test faults -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items
	@scripts/config_docs.py --check

unit: ## cargo test
	cargo test --locked

# Executions of each target against the reference, and seconds of each under libFuzzer.
FUZZ_EXECUTIONS ?= 50000
FUZZ_SECONDS ?= 60

fuzz: ## Fuzz every target against a reference implementation, then under libFuzzer where it is installed (20 minutes)
	FUZZ_EXECUTIONS=$(FUZZ_EXECUTIONS) cargo test --locked --test fuzz -- --nocapture
	FUZZ_SECONDS=$(FUZZ_SECONDS) fuzz/libfuzzer.sh

# More arguments of cargo-mutants. It works on a copy of the tree.
MUTANTS ?=

mutants: ## Break the rules that decide, one at a time: does a unit test notice? (3 hours; MUTANTS="-F src/verify/claims" for one file)
	@scripts/setup.py cargo-mutants
	PATH="$(CURDIR)/.tools/cargo/bin:$$PATH" cargo mutants --output target $(MUTANTS)

test-faults: ## What breaks around the service, under load through a real Envoy: docs/FAULTS.md (25 minutes)
	@scripts/setup.py envoy postgres
	ulimit -n "$$(ulimit -H -n)" && cargo test --release --locked --test faults -- --test-threads 1 --nocapture --skip soak::

soak: ## Faults at random under load: 3 minutes, or SOAK_MINUTES=1440 for a day
	@scripts/setup.py envoy postgres
	cargo test --release --locked --test faults -- --test-threads 1 --nocapture soak::

deploy: ## Render and validate every manifest, test the alerts, let a real Prometheus scrape the service
	cargo build --locked
	$(PYTHON) tests/deploy/validate.py --binary $(BINARY)
	$(PYTHON) tests/deploy/test_validate.py
	$(PYTHON) tests/deploy/prometheus.py --binary $(BINARY)
	$(if $(filter 1,$(SKIP_BUILDAH)),,$(PYTHON) tests/deploy/test_image_build.py)

image: ## Build and check the image: target/atlassian-authz-image.tar, for docker load (10 minutes the first time)
	@scripts/setup.py buildah
	RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --locked --target $(IMAGE_TARGET)
	python3 tests/deploy/image_build.py target/$(IMAGE_TARGET)/release/atlassian-authz --archive target/atlassian-authz-image.tar

docs-check: ## Does what the pages name exist? Tests, links, commands, metrics
	cargo build --locked
	$(PYTHON) tests/docs/check.py --binary $(BINARY)
	$(PYTHON) tests/docs/test_check.py
	$(PYTHON) scripts/performance.py --check

test-kubernetes: ## Apply every manifest to a real kube-apiserver with a real etcd (Go builds both: 8 minutes, then 1)
	@scripts/setup.py deploy-schemas helm etcd kube-apiserver kubectl crds
	$(PYTHON) tests/deploy/kubernetes.py

dashboard: ## Draw the Grafana dashboard as it shows a minute of real traffic: target/dashboard.png
	@scripts/setup.py envoy oidc deploy-schemas prometheus matplotlib
	cargo build --locked
	$(PYTHON) tests/deploy/prometheus.py --binary $(BINARY) --seconds 60 --draw target/dashboard.png

bench: ## Cost of a check beside an empty server and beside Envoy's own filters, as ratios (12 minutes)
	@scripts/setup.py envoy
	cargo bench --locked --bench allocations -- --json target/bench/allocations.json
	cargo bench --locked --bench load -- --allocations target/bench/allocations.json --json target/bench/figures.json

performance: bench ## The same, and write docs/PERFORMANCE.md and its plots anew from what was measured
	@scripts/setup.py matplotlib
	$(PYTHON) scripts/performance.py

docs: ## Write docs/CONFIGURATION.md, docs/openapi.json and schema/ anew from the source
	cargo build --locked
	$(BINARY) config schema > schema/config.schema.json
	$(BINARY) config rule-variables > schema/rule-variables.schema.json
	$(BINARY) config openapi > docs/openapi.json
	scripts/config_docs.py

deny: ## Licences, sources and bans of all dependencies (needs cargo-deny)
	cargo deny check bans licenses sources

clean: ## Remove what was built and what was installed
	rm -rf target fuzz/target .tools tests/real/oidc/node_modules tests/deploy/node_modules
