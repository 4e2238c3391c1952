# Potential Studio: `make studio` opens the app, `make test` runs what a contributor must keep green.
# Each target sets up what it needs; the second time is fast.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
EXAMPLE ?= tyk2-pocket
STAMP  := $(VENV)/.installed-$(shell cksum pyproject.toml | cut -d' ' -f1)

.PHONY: studio test bench lint lab picture clean

studio: $(STAMP) $(VENV)/.examples
	$(BIN)/potential-studio app --example $(EXAMPLE) $(ARGS)

# all cores for what needs no browser, the longest files first; then the browser by itself: it is watched by the clock
test: $(STAMP) $(VENV)/.browser lint
ifeq ($(ARGS),)
	$(BIN)/python -m pytest tests --ignore=tests/ui -n auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder
	$(BIN)/python -m pytest tests/ui
else
	$(BIN)/python -m pytest $(ARGS)
endif

bench: $(STAMP) $(VENV)/.browser
	$(BIN)/python -m tests.benchmarks $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

picture: $(STAMP) $(VENV)/.browser
	$(BIN)/python tutorials/pictures/take.py

lab: $(STAMP)
	$(BIN)/jupyter lab tutorials $(ARGS)

clean:
	rm -rf $(VENV) *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Potential Studio needs Python 3.11 or newer; found $$($(PYTHON) --version). Name another: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV) || { echo "Cannot make a virtual environment: install the venv module (on Debian: apt install python3-venv)."; exit 1; }

# torch first and at an exact version, so that no other package's range picks a newer one
$(STAMP): $(BIN)/python pyproject.toml
	@echo "Installing Potential Studio into $(VENV): some minutes the first time."
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet torch==2.13.0
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@rm -f $(VENV)/.installed-*
	@touch $@

$(VENV)/.examples: $(STAMP) $(wildcard studio/potentials/*compiled.py) studio/potentials/so3lr_network.py
	-@$(BIN)/potential-studio compile
	@echo "Preparing the bundled examples (once)."
	$(BIN)/potential-studio examples --prepare
	@touch $@

$(VENV)/.browser: $(STAMP)
	@command -v chromium || command -v chromium-browser || command -v google-chrome \
	|| { test "$$(id -u)" = 0 && command -v apt-get && apt-get update -qq && apt-get install -y -qq chromium; } \
	|| { echo "The browser tests need Chromium: install it (on Debian: sudo apt install chromium) and call make test again."; exit 1; }
	@touch $@
