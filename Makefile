# make run    set up everything, make sample data once, serve the dashboard on 127.0.0.1
# make test   set up everything, run all tests
PYTHON ?= python3.11
PYTHON := $(shell command -v $(PYTHON) || command -v python3)
VENV   := .venv
BIN    := $(VENV)/bin
STORE  ?= store
PORT   ?= 8501
READY  := $(VENV)/.ready-$(shell cksum < requirements.lock | cut -d' ' -f1)

.PHONY: run test lint bench long pictures oidc-demo clean lock

run: $(READY)
	@test -f $(STORE)/current || $(BIN)/jianfu sample $(STORE)
	$(BIN)/jianfu serve $(STORE) --port $(PORT)

test: $(READY)
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

long: $(READY)
	$(BIN)/python -m pytest -m long

lint: $(READY)
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

# every page, both languages, both widths, light and dark, to look at; and the README's pictures
pictures: $(READY)
	@test -f $(STORE)/current || $(BIN)/jianfu sample $(STORE)
	$(BIN)/python tests/pictures.py $(STORE)
	$(BIN)/python tests/pictures.py $(STORE) --readme

# served to others, as a bureau would: a login of demo users on this machine only
oidc-demo: $(READY)
	@test -f $(STORE)/current || $(BIN)/jianfu sample $(STORE)
	$(BIN)/python tests/oidc.py $(STORE) $(PORT)

# every benchmark into tests/benchmarks/results.md; ROWS: millions of settlements, such as 1,10,50
bench: $(READY)
	$(BIN)/python tests/benchmarks/bench.py --rows $(or $(ROWS),1) $(if $(PARTS),--parts $(PARTS))

# Debian and Ubuntu keep ensurepip in a package of its own.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; set PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "installing python3-venv"; SUDO=; [ "$$(id -u)" = 0 ] || SUDO=sudo; $$SUDO apt-get update -qq && $$SUDO apt-get install -y -qq python3-venv; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

lock:
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --no-annotate --quiet -o requirements.lock

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
