# make book: set up, execute every notebook with its default parameters, render the site.
# make test: set up, then pytest, nbval on the notebooks, and the site with warnings as errors.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BENCH := .venv-bench
UV := uv==0.13.8
# Several processes of one thread each: with more threads they would wait for one another.
PARALLEL := -n auto --maxprocesses 4 --dist loadfile
# What is imported is compiled once, when it is first needed: to compile all of it takes longer, and
# where Python may write nothing each kernel would compile for itself.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: book test lint faults bench bench-batch gpu store lock clean

book: $(VENV)/ready
	$(BIN)/advlib run
	$(BIN)/advlib book

test: $(VENV)/ready lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PARALLEL) --ignore tests/browser --ignore tests/faults
	$(BIN)/advlib run
	OMP_NUM_THREADS=1 ADVLIB_RUN=$(CURDIR)/_build/nbval $(BIN)/python -m pytest --nbval-lax notebooks
	$(BIN)/advlib book
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PARALLEL) tests/browser

lint: $(VENV)/ready
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports
	$(BIN)/mypy

# Would the notebooks' regression test notice a wrong attack, defense or label? Some minutes.
faults: $(VENV)/ready
	$(BIN)/python -m pytest tests/faults

# Against torchattacks, foolbox and ART, in an environment of their own.
bench: $(BENCH)/ready
	$(BENCH)/bin/python tests/benchmarks/bench.py

# What a batch costs beside its kernels; a thousand empty notebooks take a while.
bench-batch: $(VENV)/ready
	$(BIN)/python tests/benchmarks/batch.py

# On a machine with a GPU: agreement with the CPU, speeds, then the paper profiles. It can be
# stopped, and goes on where it was.
gpu: $(VENV)/ready
	$(BIN)/python tests/benchmarks/gpu.py

# Put the outputs of the default parameters into notebooks/, to be committed.
store: $(VENV)/ready
	$(BIN)/advlib run
	$(BIN)/advlib store

# Pin anew what make installs. torch's own CUDA packages stay out: torch pins them, and not every
# platform has them.
lock: $(VENV)/ready
	$(BIN)/python -m uv pip compile -q -U --extra study --extra book --extra test \
	  --no-annotate --no-header pyproject.toml \
	  | grep -vE '^(nvidia-|cuda-|triton)' > requirements.lock

clean:
	rm -rf _build runs

$(VENV)/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one with: make PYTHON=python3.12"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q "$(UV)"
	$(BIN)/python -m uv pip install -q --python $(BIN)/python -r requirements.lock
	$(BIN)/python -m uv pip install -q --python $(BIN)/python --no-deps -e .
	touch $@

$(BENCH)/ready: tests/benchmarks/requirements.txt requirements.lock pyproject.toml
	test -x $(BENCH)/bin/python || $(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install -q "$(UV)"
	$(BENCH)/bin/python -m uv pip install -q --python $(BENCH)/bin/python \
	  -r $< --overrides requirements.lock
	touch $@
