# `make run` and `make test` are all that a clone needs; the rest is for daily work on the project.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null \
	&& echo $$p && break; done)
BIN := .venv/bin
RUN_STAMP := .venv/.run-$(shell cat pyproject.toml packaging/requirements/run.txt | cksum | cut -d' ' -f1)
DEV_STAMP := .venv/.dev-$(shell cat pyproject.toml packaging/requirements/dev.txt | cksum | cut -d' ' -f1)
PYTEST := $(BIN)/python -m pytest -p no:cacheprovider

# The extra NVIDIA device nodes exist only where the driver is loaded.
HAS_GPU := $(shell ls /dev/nvidia0 /dev/nvhost-gpu 2>/dev/null | head -n 1)

.PHONY: help run setup runtimes check lint unit test test-desktop test-dist gpu
.PHONY: format lock bench torture soak pictures dist pages site clean

help:  ## Say what there is to make
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(RUN_STAMP):
	@test -n "$(PYTHON)" || { echo "Python 3.11 to 3.13 is needed: install one, or name it with make PYTHON=/path/to/python3." >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { echo "The virtual environment could not be made; on Debian: apt-get install python3-venv" >&2; exit 2; }
	@echo "Setting up .venv ..."
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r packaging/requirements/run.txt
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -e .
	@rm -f .venv/.run-* && touch $@

$(DEV_STAMP): $(RUN_STAMP)
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r packaging/requirements/dev.txt
	@rm -f .venv/.dev-* && touch $@

setup: $(DEV_STAMP)  ## Make the development environment in .venv

# A server elsewhere needs no runtime here.
run: $(RUN_STAMP)  ## Set up what is missing and open the terminal UI; arguments go in ARGS='...'
ifeq ($(HAS_GPU)$(findstring --url,$(ARGS)),)
	@$(BIN)/gemma-tui engine install --runtime cpu --if-missing --yes >&2
endif
	@$(BIN)/gemma-tui $(ARGS)

# Without --if-missing: what is tested is the lock in the tree, whatever was installed before.
runtimes: $(DEV_STAMP)  ## Install or update the runtimes that the tests use, in the platform data folder
	@$(BIN)/gemma-tui engine install --runtime cpu --yes
	@$(BIN)/gemma-tui engine install --runtime quantize --yes

check: $(DEV_STAMP)  ## Lint, types, import contracts and unit tests, in under 90 seconds
	@$(MAKE) --no-print-directory --output-sync=target -j2 unit lint

lint: $(DEV_STAMP)  ## Lint, types and import contracts alone
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(DEV_STAMP)  ## Unit tests alone
	$(PYTEST) tests/unit

dist: $(DEV_STAMP)  ## Build wheel, sdist, Debian package, manual pages and completions into dist/
	PYTHONPATH=packaging $(BIN)/python -m dist

pages: $(DEV_STAMP)  ## Write the pages of docs/ that are made from the program
	PYTHONPATH=packaging $(BIN)/python -m site_pages.generate

site: pages  ## Build the documentation site into build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict -f packaging/site_pages/mkdocs.yml

test-dist: $(DEV_STAMP)  ## Build and install all that `make dist` gives, and run it; as root also the Debian package
	$(PYTEST) tests/dist

test-desktop: $(DEV_STAMP)  ## Clipboards, sound and ffmpeg on a desktop without hardware (packaging/requirements/desktop.txt)
	$(PYTEST) tests/desktop

test: check runtimes  ## Everything that CI checks
	$(PYTEST) tests/tui tests/engine tests/faults

gpu: $(DEV_STAMP)  ## Tests on an NVIDIA GPU: GEMMA_TUI_TEST_CHECKPOINT names the folder of a full-size checkpoint
	$(PYTEST) -m gpu tests/gpu

format: $(DEV_STAMP)  ## Put the code into its one form
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

bench: runtimes  ## Print the figures of docs/measurements.md for this machine
	PYTHONPATH=tests $(BIN)/python -m benchmarks

torture: runtimes  ## Kill every process at random moments, and print what was left; ARGS="--minutes 20" for a part
	PYTHONPATH=tests $(BIN)/python -m faults.history_torture
	PYTHONPATH=tests $(BIN)/python -m faults.torture $(ARGS)

SOAK_SECONDS ?= 3600

soak: $(DEV_STAMP)  ## Stream through a server's faults for an hour (SOAK_SECONDS=60), and print what the program holds
	PYTHONPATH=tests $(BIN)/python -m faults.soak --seconds $(SOAK_SECONDS)

pictures: runtimes  ## Make the pictures in docs/images from the real program
	PYTHONPATH=packaging $(BIN)/python -m pictures

lock: $(DEV_STAMP)  ## Resolve the UI's requirements anew
	$(BIN)/uv pip compile -q pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--upgrade -o packaging/requirements/run.txt
	$(BIN)/uv pip compile -q pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-header \
		--no-annotate -c packaging/requirements/run.txt -o packaging/requirements/dev.txt

clean:  ## Remove what was made in the tree; runtimes stay
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache
