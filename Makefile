# One-word tasks. `make test` is all that a bare Debian or a laptop needs.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: run test test-pages test-rest lint format bench shots canary-latest tools clean

run: $(VENV)/ready
	$(BIN)/python app.py

# The two halves run side by side, a core each; the output of each comes when it has ended.
test: $(VENV)/ready tools lint
	$(MAKE) --jobs 2 --keep-going --output-sync=target --no-print-directory test-pages test-rest

test-pages:
	OMP_NUM_THREADS=1 GRADIO_SERVER_PORT=7960 $(BIN)/python -m pytest tests/browser

test-rest:
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --ignore tests/browser
	$(foreach file,$(wildcard tests/js/*.test.mjs),node --test $(file) &&) true

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/ready
	$(BIN)/patchwork bench

shots: $(VENV)/ready tools
	$(BIN)/python -m tests.browser.shots screenshots

# Every family on the newest torch and transformers there are, beyond the bounds of pyproject.toml too.
canary-latest:
	$(PYTHON) -m venv --clear build/canary
	build/canary/bin/python -m pip install --quiet --upgrade pip
	build/canary/bin/python -m pip install --quiet --editable ".[test]"
	build/canary/bin/python -m pip install --quiet --upgrade torch torchvision transformers
	build/canary/bin/python -m pytest tests/families/test_canary.py

$(VENV)/ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[test]"
	touch $@

# The browser tests drive the system's Chromium; Node runs the tests of the drawing kit.
tools:
	@command -v chromium >/dev/null && command -v node >/dev/null || { \
	  command -v apt-get >/dev/null || { echo "Install chromium and node first (no apt-get here)."; exit 1; }; \
	  $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq --no-install-recommends chromium nodejs fonts-dejavu-core; }

clean:
	rm -rf $(VENV) build runs screenshots
