# medfed: `make demo` and `make test` are the whole set-up on a machine with Python 3.11 or newer, make and a package index.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
PEERS := .venv-peers
BIN := $(VENV)/bin
STAMP := $(VENV)/medfed-installed
LOG := $(VENV)/install.log
PEERS_LOG := $(PEERS)/install.log
EXTRAS := ".[dev,ray]"  # in a variable: a comma would end an argument of call
SCENARIOS := nuclei-unet pneumonia-cnn
QUICK := 50s  # of an audit at the end of the demo, by counting: see docs/audit.md

# One thread per process: results do not depend on the number of cores, and worker processes do not fight for them.
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1
export MKL_NUM_THREADS ?= 1
# No library reports home.
export FLWR_TELEMETRY_ENABLED := 0
export FLWR_DISABLE_UPDATE_CHECK := 1
export RAY_USAGE_STATS_ENABLED := 0
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# $(call pip,PYTHON,LOG,ARGUMENTS): quiet, with the end of the log where it fails.
pip = $(1) -m pip install --no-input $(3) >> $(2) 2>&1 || { tail -n 30 $(2); echo "make: pip failed; the whole log is $(2)" >&2; exit 1; }

.PHONY: help setup demo test check format peers results chaos kills noniid clean browser

help:
	@echo "make setup    create .venv and install the pinned dependencies"
	@echo "make demo     setup, then run both bundled scenarios, audit them in short, and print where the pages are"
	@echo "make test     setup, then every check and every test"
	@echo "make check    setup, then formatter, linter, types and import directions"
	@echo "make format   setup, then format and mend what the linter can mend"
	@echo "make peers    build .venv-peers, from which the benchmarks run other programs"
	@echo "make results  run the bundled scenarios over three seeds (rewrites the end of docs/results.md), the engine benchmarks and the poisoning matrix (hours, resumable)"
	@echo "make noniid   tune every strategy on three non-IID data sets, run the choice over three seeds, rewrite its section of docs/results.md"
	@echo "make chaos    kill a short run 50 times with signal 9, and see that every one ends with the same bits"
	@echo "make kills    kill a site with signal 9 at 50 moments of its releases, and see that its ledger never says less than what left"
	@echo "make clean    remove .venv, .venv-peers and every cache; runs/ stays"

setup: $(STAMP)

$(BIN)/python:
	@python=""; \
	for candidate in $(PYTHON) python3.11 python3; do \
	  if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null; then python="$$candidate"; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "make: no Python 3.11 or newer found as python3.11 or python3; install one, or name it: make setup PYTHON=/path/to/python" >&2; exit 1; \
	fi; \
	echo "creating $(VENV) with $$("$$python" --version)"; \
	"$$python" -m venv $(VENV) || { rm -rf $(VENV); echo "make: $$python cannot create a virtual environment; on Debian, install python3-venv" >&2; exit 1; }

# torch comes first, and alone: a CPU build, where pip is told of one, satisfies an exact version and stays; left to the
# resolver, it is replaced by the newest torch and gigabytes of CUDA. torchattacks comes last, and without its dependencies: the metadata of 3.5.1 asks for
# requests~=2.25.1 (flwr needs >= 2.33) and for torchvision (never imported), so that resolvers fall back to 3.3.0, which
# declares nothing but returns perturbations far above the budget (Square with set_normalization_used).
$(STAMP): pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing the pinned dependencies (minutes, the first time); log: $(LOG)"; \
	: > $(LOG); \
	$(call pip,$(BIN)/python,$(LOG),-c constraints.txt torch==2.13.0); \
	$(call pip,$(BIN)/python,$(LOG),-c constraints.txt -e $(EXTRAS)); \
	$(call pip,$(BIN)/python,$(LOG),--no-deps torchattacks==3.5.1); \
	touch $@; \
	echo "installed: $$($(BIN)/medfed --version) in $(VENV)"

demo: setup
	@for scenario in $(SCENARIOS); do $(BIN)/medfed simulate simulations/scenarios/$$scenario.toml --overwrite; done
	@for scenario in $(SCENARIOS); do echo; echo "A quick audit of $$scenario:"; $(BIN)/medfed audit runs/$$scenario --budget $(strip $(QUICK)); done
	@$(BIN)/medfed runs runs --index > /dev/null
	@echo; echo "The pages, to open in a browser:"; \
	for scenario in $(SCENARIOS); do for page in report.html audit/report.html; do echo "  $(CURDIR)/runs/$$scenario/$$page"; done; done; \
	echo "  $(CURDIR)/runs/index.html"

# Two at a time, with one thread each: tests wait for processes that start about as long as they compute.
test: setup browser check
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

# The tests of the pages look at them in Chromium; where there is none they are skipped, and say so.
browser:
	@if ! command -v chromium chromium-browser google-chrome > /dev/null; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
	    echo "installing chromium for the tests of the pages"; \
	    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium; } > $(VENV)/chromium.log 2>&1 \
	      || echo "make: chromium cannot be installed (log: $(VENV)/chromium.log); the tests of the pages will be skipped"; \
	  else echo "make: no chromium here; the tests of the pages will be skipped"; fi; \
	fi

check: setup
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

format: setup
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

peers: $(PEERS)/medfed-installed

# Flower on Ray, pfl-research, pyautoattack and breaching, which ours is measured against, in an environment of their own:
# pfl asks for versions that ours must not be held to. torch comes first and alone, as in setup. pyautoattack asks for
# nothing. breaching comes without its dependencies, which name a torchvision that would replace torch; the benchmark needs
# no more of torchvision than its Python part, which suits any torch.
PFL := pfl==0.6.0 absl-py==1.4.0 dill==0.4.1 dm-tree==0.1.10 dp-accounting==0.5.1 multiprocess==0.70.19 prv-accountant==0.2.0 wheel==0.45.1 wrapt==2.5.2
BREACHING := breaching==0.1.2 hydra-core==1.3.8 'omegaconf<2.4' lpips==0.1.4 torchvision
BREACHING_NEEDS := antlr4-python3-runtime==4.9.3 scipy pandas tqdm pillow pyyaml
$(PEERS)/medfed-installed: constraints.txt $(STAMP)
	@$(BIN)/python -m venv $(PEERS); : > $(PEERS_LOG); \
	echo "building $(PEERS); log: $(PEERS_LOG)"; \
	$(call pip,$(PEERS)/bin/python,$(PEERS_LOG),-c constraints.txt torch==2.13.0); \
	$(call pip,$(PEERS)/bin/python,$(PEERS_LOG),-c constraints.txt "flwr[simulation]==1.41.0"); \
	( $(call pip,$(PEERS)/bin/python,$(PEERS_LOG),-c constraints.txt $(PFL)) ) || \
	  echo "make: pfl-research cannot be installed; the benchmarks will say so in its place" >&2; \
	( $(call pip,$(PEERS)/bin/python,$(PEERS_LOG),--no-deps pyautoattack==0.2.0) ) || \
	  echo "make: pyautoattack cannot be installed; the benchmarks will say so in its place" >&2; \
	( $(call pip,$(PEERS)/bin/python,$(PEERS_LOG),--no-deps $(BREACHING)) && \
	  $(call pip,$(PEERS)/bin/python,$(PEERS_LOG),-c constraints.txt $(BREACHING_NEEDS)) ) || \
	  echo "make: breaching cannot be installed; the benchmarks will say so in its place" >&2; \
	touch $@

results: setup peers
	@$(BIN)/python -m simulations.benchmarks.bundled --markdown docs/results.md
	@for name in engine cohort memory; do $(BIN)/python -m simulations.benchmarks.$$name; done
	@$(BIN)/python -m simulations.benchmarks.poisoning --malicious 2 4 6 --seeds 3

# Needs ../shared/data. May be stopped at any time and goes on where it was.
noniid: setup
	@$(BIN)/python -m simulations.benchmarks.noniid run & other=$$!; $(BIN)/python -m simulations.benchmarks.noniid run; wait $$other
	@$(BIN)/python -m simulations.benchmarks.noniid page --markdown docs/results.md

chaos: setup
	@$(BIN)/python -m simulations.benchmarks.chaos

kills: setup
	@$(BIN)/python -m simulations.benchmarks.ledger_kills --kills 50

clean:
	rm -rf $(VENV) $(PEERS) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.fab
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
