# make demo   set up, build the demo atlas from the real model, say where it is     make serve   show it
# make test   set up, run every test                                                make check   all that CI holds

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt
RECIPE ?= build/recipes/demo.toml
export NO_MKDOCS_2_WARNING := 1

.PHONY: demo serve test check lint golden clean

demo: $(VENV)/.demo
	$(BIN)/atlas build $(RECIPE)

serve: $(VENV)/.demo
	$(BIN)/atlas serve build/out/demo/site

test: $(VENV)/.dev
	$(BIN)/python -m pytest

check: lint test

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/mkdocs build --strict --quiet

golden: $(VENV)/.dev
	ATLAS_GOLDEN=write $(BIN)/python -m pytest tests/golden

clean:
	rm -rf build/out dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/.demo: pyproject.toml constraints.txt
	@echo "Setting up $(VENV) (a few minutes: PyTorch and the model are large)"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) -e '.[collect,demo,map]'
	touch $@

$(VENV)/.dev: $(VENV)/.demo
	$(PIP) -e '.[collect,demo,dev,filters,map,ray]'
	touch $@
