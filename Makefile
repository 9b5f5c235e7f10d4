# make run    set up everything, make sample data once, serve the dashboard on 127.0.0.1
# make test   set up everything, run all tests
PYTHON ?= python3.11
PYTHON := $(shell command -v $(PYTHON) || command -v python3)
VENV   := .venv
BIN    := $(VENV)/bin
STORE  ?= store
PORT   ?= 8501
SPARK  := $(VENV)/.spark-$(shell cksum < requirements-spark.lock | cut -d' ' -f1)
READY  := $(VENV)/.ready-$(shell cksum < requirements.lock | cut -d' ' -f1)

.PHONY: run test lint bench long pictures oidc-demo spark-up spark-down spark-test clean lock

run: $(READY)
	@test -f $(STORE)/current || $(BIN)/jianfu sample $(STORE)
	$(BIN)/jianfu serve $(STORE) --port $(PORT)

test: $(READY)
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadgroup --no-loadscope-reorder

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

# a Spark cluster on this machine: one master, two workers, loopback only; needs Java 17 (JAVA_HOME or PATH)
spark-up: $(SPARK)
	$(BIN)/python tests/spark.py up

spark-down:
	$(BIN)/python tests/spark.py down

spark-test: $(SPARK)
	@$(BIN)/python tests/spark.py up && { \
	  JIANFU_REQUIRE_SPARK=1 $(BIN)/python -m pytest tests/test_runners_spark.py; failed=$$?; \
	  $(BIN)/python tests/spark.py down; exit $$failed; }

$(SPARK): $(READY) requirements-spark.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-spark.lock
	@touch $@

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
	$(PYTHON) -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']['spark'])" | \
	  uv pip compile - --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --no-annotate --quiet -o requirements-spark.lock

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
