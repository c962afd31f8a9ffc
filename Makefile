# The commands of this project. `make demo` and `make test` set up what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.set-up
BENCHMARKS := recorded_loading recording_scale sampling_throughput embedding_throughput crash_resume hostile_report stance null planted_texts real_families analysis_speed monitoring defences training_throughput crash_run off_the_rails probe_filters probe_audit probe_models probe_throughput overoptimisation composite pareto alternation optimiser_throughput

.PHONY: setup demo diff-demo test test-quick bench docs lint clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Moorings needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; name another with: make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	$(BIN)/moorings models fetch all
	touch $(STAMP)

demo: setup
	$(BIN)/moorings run examples/self_training.yaml --out runs/demo || test $$? = 1
	$(BIN)/moorings verify runs/demo
	@echo
	@echo "Open the report in a browser: $(CURDIR)/runs/demo/report.html"

diff-demo: setup
	test -d runs/planted || $(BIN)/python examples/plant_change.py --out runs/planted
	$(BIN)/moorings diff bundled:smollm2-135m bundled:smollm2-135m+runs/planted --prompts examples/prompts.jsonl --samples 2 --max-tokens 64 --charter examples/charters/demo.yaml --out runs/planted-diff --fail-on never
	@echo
	@echo "Open the report in a browser: $(CURDIR)/runs/planted-diff/report.html"

test: setup lint docs
	$(BIN)/python -m pytest -n 2

test-quick: setup
	$(BIN)/python -m pytest -m "not slow and not model"

bench: setup
	for name in $(BENCHMARKS); do $(BIN)/python benchmarks/$$name.py || exit 1; done

docs: setup
	$(BIN)/python docs/make_reference.py
	$(BIN)/python docs/make_alignment.py
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

lint: setup
	$(BIN)/ruff check src tests benchmarks docs examples
	$(BIN)/ruff format --check src tests benchmarks docs examples
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) docs/_build .mypy_cache .ruff_cache
