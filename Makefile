.DEFAULT_GOAL := help
.PHONY: help setup setup-image setup-dev up down status test lint unit app terraform container ansible packer baked vagrant e2e bench clean

SPEED ?= 1
PORT ?= 4566
DRIVER ?= process
# A command whose own path must not depend on an activated environment.
homeport := .venv/bin/homeport

$(homeport):
	@scripts/bootstrap

help: ## Show this
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Make .venv from the lock files and install what the distribution lacks
	@scripts/bootstrap

setup-image: ## The same with what bakes machine images: Docker, Packer, Ansible
	@scripts/bootstrap image

setup-dev:
	@scripts/bootstrap dev

up: $(if $(filter container,$(DRIVER)),setup-image,setup) ## A fleet on this machine; DRIVER=container: of booted, baked machines
	@$(homeport) up --speed $(SPEED) --port $(PORT) --driver $(DRIVER)

# Neither needs what setup brings once the fleet is up.
status: $(homeport) ## Show every service's instances and their health
	@$(homeport) status

down: $(homeport) ## Stop everything and remove it
	@$(homeport) down

test: setup-dev ## Lint, unit, Terraform and end-to-end tests; says what it skipped and why
	@scripts/test

lint: setup-dev ## Only the linters
	@scripts/test lint

unit: setup-dev ## Only the tests without a fleet
	@scripts/test unit app

terraform: setup-dev ## Only Terraform's checks and tests
	@scripts/test terraform

container: setup-dev ## Only the container image's tests
	@scripts/test container

ansible: setup-dev ## Only the roles' tests (Molecule)
	@scripts/test ansible

packer: setup-dev ## Only the machine image's tests
	@scripts/test packer

baked: setup-dev ## Only the tests of a fleet that boots from the baked image
	@scripts/test baked

vagrant: setup-dev ## Only the VM's tests
	@scripts/test vagrant

e2e: setup-dev ## Only the end-to-end tests, on a fleet of their own
	@scripts/test e2e

bench: setup-dev ## Measure what the README reports
	@.venv/bin/python -m bench

clean: down ## Also remove the virtual environments and caches of this checkout
	rm -rf .venv app/.venv .mypy_cache .pytest_cache .ruff_cache .hypothesis
