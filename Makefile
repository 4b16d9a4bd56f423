# Targets make and reuse .venv; without make, the commands below do the same by hand.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
# One OpenMP thread a test process: two busy pools on two cores starve each other.
# Bytecode is kept, whatever the environment says: tests start some hundred processes, and each would compile it all.
TESTENV := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive HF_HUB_OFFLINE=1

.PHONY: demo test check docs bench bench-gpu evidence format release clean

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e .
	touch $@

$(VENV)/.all: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e '.[all,dev]'
	touch $@ $(VENV)/.core

demo: $(VENV)/.core
	$(BIN)/xaiaug demo

test: $(VENV)/.all
	$(TESTENV) $(BIN)/python -m pytest -n 2 --dist worksteal -m "not ci and not slow and not gpu" -q

check: $(VENV)/.all
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build
	$(TESTENV) $(BIN)/python -m pytest -n 2 --dist worksteal -m ci -q --durations=20

# docs/_build/index.html
docs: $(VENV)/.all
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build

# Hours: every arm on the drawn world, and the benchmark on photographs in DATA (cats-vs-dogs, pets-with-masks, weights).
DATA ?= ../shared/data
evidence: $(VENV)/.all
	$(BIN)/python benchmarks/petworld.py --arms full --prior biased --seeds 5
	$(BIN)/python benchmarks/photos.py --data $(DATA)
	$(BIN)/python benchmarks/pointing.py --data $(DATA)

# Half an hour: speed and memory beside what people use today; writes benchmarks/results and docs/benchmarks.md.
bench: $(VENV)/.all
	$(BIN)/python benchmarks/run_all.py --data $(DATA)

# A quarter of an hour on a machine with a GPU; elsewhere it says so.
bench-gpu: $(VENV)/.all
	$(BIN)/python benchmarks/run_all.py --gpu

# Builds and checks what a release uploads, and stops there: uploading is done by hand.
release: $(VENV)/.all
	@version=$$($(BIN)/python -c 'import xaiaug; print(xaiaug.__version__)'); \
	grep -q "^## \[$$version\]" CHANGELOG.md || { echo "CHANGELOG.md has no section [$$version]: name the release there first"; exit 1; }; \
	grep -q "^version: $$version$$" CITATION.cff || { echo "CITATION.cff is of another version than $$version"; exit 1; }; \
	test -z "$$(git status --porcelain)" || { echo "there are uncommitted changes: commit them first"; exit 1; }
	rm -rf dist build/release
	$(PYTHON) -m venv build/release
	build/release/bin/python -m pip install --quiet --disable-pip-version-check build twine
	build/release/bin/python -m build
	build/release/bin/python -m twine check --strict dist/*
	@echo "dist/ is ready. To release: tag it, then: build/release/bin/python -m twine upload dist/*"

format: $(VENV)/.all
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) runs build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
