# Two commands matter: `make demo` tries it out, `make test` passes every check. Both set up what they need.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

# The same source, with what each request goes through compiled: a checkout of its own, so that nothing here is shadowed.
COMPILED := build/compiled
CONTENTS := proxy tests benchmarks config docs pyproject.toml README.md CHANGELOG.md LICENSE Makefile
SOURCE := $(shell find proxy -name '*.py')
# All of it is one library that nothing else links against: calls within it needn't go by way of its symbol table.
COMPILER_FLAGS := -fvisibility=hidden -fno-semantic-interposition -fno-plt

.PHONY: demo test test-compiled check compiled format bench lock clean help

help:            ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/.run ## run the proxy in front of simulated providers; needs no key
	$(BIN)/pointsman demo

test: .venv/.dev ## every check and test
	$(MAKE) --no-print-directory check
	$(BIN)/python -m pytest

test-compiled: $(COMPILED)/.built ## the tests of what each request goes through, with that compiled
	cp -R $(filter-out proxy,$(CONTENTS)) $(COMPILED)
	cd $(COMPILED) && PYTHONPATH=$(CURDIR)/$(COMPILED) $(CURDIR)/$(BIN)/python -m pytest \
		tests/gateway tests/telemetry tests/upstream tests/wire $(wildcard tests/test_*.py)

check: .venv/.dev ## formatting, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: .venv/.dev ## format the code and mend what lint can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

compiled: $(COMPILED)/.built ## compile what each request goes through, into build/; needs a C compiler

bench: .venv/.dev $(COMPILED)/.built ## speed, latency, CPU and memory beside nginx and a direct connection: a report with plots
	$(BIN)/python -m benchmarks

lock:            ## pin the newest versions that pyproject.toml allows, with hashes (needs uv)
	uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-emit-find-links --no-strip-extras --custom-compile-command "make lock" --group build pyproject.toml \
		-o requirements/run.txt
	uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-emit-find-links --no-strip-extras --custom-compile-command "make lock" --group dev pyproject.toml -c requirements/run.txt \
		-o requirements/dev.txt

clean:           ## remove the environment and the caches
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist

$(COMPILED)/.built: .venv/.dev pyproject.toml $(SOURCE)
	rm -rf $(COMPILED)
	mkdir -p $(COMPILED)
	cp -R $(CONTENTS) $(COMPILED)
	ln -s $(CURDIR)/.venv $(COMPILED)/.venv
	cd $(COMPILED) && CFLAGS="$(COMPILER_FLAGS) $$CFLAGS" HATCH_BUILD_HOOK_ENABLE_MYPYC=true \
		.venv/bin/python -m hatchling build --target wheel
	@touch $@

.venv/.created:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Pointsman needs Python 3.11 or newer")'
	$(PYTHON) -m venv .venv
	@touch $@

.venv/.run: .venv/.created requirements/run.txt pyproject.toml
	$(PIP) install --require-hashes -r requirements/run.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.dev: .venv/.run requirements/dev.txt
	$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@
