# Each target makes .venv and installs what it needs by itself; Python 3.11 or newer and make are enough.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo demo-fast native check-native test slow coverage fuzz pages docs benchmark lint clean

# What builds the native engine; without it everything is answered by OpenVINO.
NATIVE := $(and $(filter x86_64,$(shell uname -m)),$(shell command -v c++))

demo: .venv/demo.installed $(if $(NATIVE),.venv/native.tried)
	$(BIN)/edge-qa demo --force

demo-fast: .venv/device.installed $(if $(NATIVE),.venv/native.tried)
	$(BIN)/python examples/ask_the_small_one.py

native: .venv/device.installed
	@test -n "$(NATIVE)" || { echo "The native engine needs x86-64 and a C++ compiler; OpenVINO answers without."; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check ./kernels
	@touch .venv/native.tried

# What takes minutes: every path under the sanitizers, 10,000 damaged files, the wheel built twice.
check-native: .venv/dev.installed
	EDGE_QA_CHECK_KERNELS=1 $(BIN)/python -m pytest tests/kernels

test: .venv/dev.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n auto --dist loadscope -m "not slow"

# The tests that take longest, so that `make test` takes six minutes on two cores.
slow: .venv/dev.installed
	$(BIN)/python -m pytest -n auto --dist loadscope -m slow

# Lines of the three packages that the tests run; takes longer than `make test`.
coverage: .venv/dev.installed
	$(BIN)/python -m pytest -n auto --dist loadscope --cov=edge_qa --cov=converters --cov=calibration \
	    --cov-report=term:skip-covered

# Damaged inputs, seeded; OPTIONS="--count 1000 --seed 7" for others.
fuzz: .venv/dev.installed
	$(BIN)/python -m tests.fuzz $(OPTIONS)

# The pages alone, warnings as errors: a minute or two.
pages: .venv/docs.installed
	$(BIN)/sphinx-build -W --keep-going -n -E -q docs build/docs
	$(BIN)/python -m docs.generate.check_links build/docs
	@echo "build/docs/index.html"

# The pages, the commands of the guides, and the wheel: half an hour, a test at a time.
docs: pages
	EDGE_QA_SLOW_PAGES=1 $(BIN)/python -m pytest -v tests/docs tests/test_wheel.py

benchmark: .venv/demo.installed
	$(BIN)/python -m benchmarks $(OPTIONS)

lint: .venv/dev.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .benchmark-envs demo kernels/build build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo "Python 3.11 or newer is needed; name it: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv

.venv/device.installed: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv/demo.installed: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[calibrate]'
	@touch $@

# The demos go on without it where it cannot be built.
.venv/native.tried: $(wildcard kernels/source/* kernels/include/* kernels/CMakeLists.txt) | .venv/device.installed
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check ./kernels
	@touch $@

.venv/dev.installed: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

.venv/docs.installed: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,docs]'
	@touch $@
