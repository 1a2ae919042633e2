# Two commands matter: `make demo` shows the main job through a real Envoy, `make test` proves it.
# Both set up what they need in .tools/ and say what is missing on the machine.

.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c

PYTHON := .tools/venv/bin/python
BINARY := target/debug/atlassian-authz
# Keycloak needs a JDK. SKIP_KEYCLOAK=1 leaves it out, and the summary of `make test` says so.
SKIP_KEYCLOAK ?=
export SKIP_KEYCLOAK

PARTS := envoy postgres git gitleaks protos deploy-schemas $(if $(filter 1,$(SKIP_KEYCLOAK)),,keycloak)

.PHONY: help demo test setup lint unit deploy bench docs deny clean

help: ## Show this
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 18

demo: ## A real Envoy, a real OIDC server, a stand-in for Jira: see it work (5 minutes the first time)
	@scripts/setup.py envoy oidc
	cargo build --release --locked
	@scripts/demo.py

test: setup lint unit deploy ## Everything: lints, unit and property tests, attacks through the real Envoy, Keycloak, manifests
	@scripts/demo.py --once --binary $(BINARY)
	@if [ "$(SKIP_KEYCLOAK)" = 1 ]; then echo "make test: passed, WITHOUT Keycloak (SKIP_KEYCLOAK=1)"; else echo "make test: passed"; fi

setup:
	@scripts/setup.py oidc $(PARTS)

lint: ## Format, clippy, documentation: no warnings
	cargo fmt --all --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items
	@scripts/config_docs.py --check

unit: ## cargo test
	cargo test --locked

deploy: ## Render and validate every manifest
	cargo build --locked
	$(PYTHON) tests/deploy/validate.py --binary $(BINARY)
	$(PYTHON) tests/deploy/test_validate.py

bench: ## Cost of a check beside a server that does nothing, as ratios (3 minutes)
	cargo bench --locked --bench load

docs: ## Write docs/CONFIGURATION.md and schema/ anew from the source
	cargo build --locked
	$(BINARY) config schema > schema/config.schema.json
	scripts/config_docs.py

deny: ## Licences, sources and bans of all dependencies (needs cargo-deny)
	cargo deny check bans licenses sources

clean: ## Remove what was built and what was installed
	rm -rf target .tools tests/real/oidc/node_modules tests/deploy/node_modules
