# SmartVoice: `make run` starts it, `make test` tests it. Nothing needs to be prepared but Python 3.11 or newer.

PYTHON ?= python3
PORT ?= 8000
# Where it is forbidden to keep compiled modules, each of the many processes that a run starts compiles them all anew.
export PYTHONDONTWRITEBYTECODE :=
VENV := .venv
BIN := $(VENV)/bin
# What writes the locks and reads advisories has an environment of its own: nothing that is tested depends on it.
TOOLS := build/tools

.PHONY: help run test lint lock update audit wheels soak screenshots chaos cut fuzz voices bench book format clean
.DEFAULT_GOAL := help

help: ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/'

run: $(VENV)/.run ## install into .venv and start everything on PORT (8000), with a sample project
	@exec $(BIN)/smartvoice up --sample --port $(PORT)

test: $(VENV)/.test ## install what the tests need, and run all of them, with lint and types
	@tools/system-packages & packages=$$!; $(MAKE) --no-print-directory lint; status=$$?; wait $$packages && exit $$status
	$(BIN)/pytest -n 4 --dist worksteal

lint: $(VENV)/.test ## style, types, and which way imports run
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

soak: $(VENV)/.test ## readers, writers and faults in thousands of random histories (some minutes)
	SMARTVOICE_SOAK_EXAMPLES=3000 $(BIN)/pytest -q tests/delivery

screenshots: $(VENV)/.test ## pictures of the pages in every state, into build/screenshots, and the README's into docs/images
	@tools/system-packages
	$(BIN)/python -m tests.browser.screenshots build/screenshots docs/images

chaos: $(VENV)/.test ## kill processes and groups of them and set clocks each second for a minute, and see that nothing is lost
	SMARTVOICE_CHAOS_SECONDS=60 $(BIN)/pytest -q tests/faults/test_chaos.py

cut: $(VENV)/.test ## cut machines of their own off for half a minute, and see that nothing is lost (needs root)
	SMARTVOICE_CUT_SECONDS=30 $(BIN)/pytest -q tests/scale/test_machines.py

fuzz: $(VENV)/.test ## send each operation of the interface hundreds of requests that nobody would think of
	SMARTVOICE_FUZZ_EXAMPLES=500 $(BIN)/pytest -q tests/openapi/test_schemathesis.py

voices: $(VENV)/.test ## 20 000 texts that nobody would write, and 40 chapters that kill voices beside others' (half an hour)
	SMARTVOICE_KILLING_CHAPTERS=40 SMARTVOICE_CHARACTERS_BESIDE=12000 $(BIN)/pytest -q --timeout 1000 tests/faults/test_voices.py
	$(BIN)/python -m tests.workers.voice_fuzz 20000

bench: $(VENV)/.test ## measure it beside other servers and write docs/develop/benchmarks.md (25 min; ONLY=b,d PASSES=1 SMALL=1 for less)
	@tools/system-packages
	@$(BIN)/python -m bench $(if $(ONLY),--only $(ONLY)) $(if $(PASSES),--passes $(PASSES)) $(if $(SMALL),--small)

book: $(VENV)/.test ## a book of 300 chapters and a million characters, killed twice on the way (an hour or so)
	$(BIN)/python -m tests.long_book 300 1000000

format: $(VENV)/.test ## put the code into form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(TOOLS)/.ready ## lock what pyproject.toml asks for and requirements/ lacks, and leave all other versions
	@$(TOOLS)/bin/python tools/lock.py

update: $(TOOLS)/.ready ## move the locks to the newest versions that fit, and say what changed
	@$(TOOLS)/bin/python tools/lock.py --upgrade

audit: $(TOOLS)/.ready ## look for published advisories about all that is locked (needs the network)
	@$(TOOLS)/bin/python tools/audit.py

wheels: $(TOOLS)/.ready ## see that each locked package has a wheel for every promised Python and system (needs the network)
	@$(TOOLS)/bin/python tools/wheels.py

clean: ## forget what was installed
	rm -rf $(VENV) $(TOOLS)

$(VENV)/.pip: tools/make-venv
	@PYTHON=$(PYTHON) tools/make-venv $(VENV)
	@touch $@

$(VENV)/.run: $(VENV)/.pip pyproject.toml requirements/run.lock
	@echo "Installing SmartVoice into $(VENV) (some 80 MB the first time) ..."
	@tools/install $(VENV) --require-hashes --requirement requirements/run.lock
	@tools/install $(VENV) --no-deps --no-build-isolation --editable .
	@# What its processes import is compiled once: started together, each of them would compile it for itself.
	@$(BIN)/python -c 'import app.cli.up, app.cli.web, app.main, workers.single_process, workers.jobs.actors, workers.jobs.narrate_task'
	@touch $@

$(VENV)/.test: $(VENV)/.run pyproject.toml requirements/test.lock
	@echo "Installing what the tests need ..."
	@tools/install $(VENV) --require-hashes --requirement requirements/test.lock
	@touch $@

$(TOOLS)/.ready: tools/make-venv requirements/tools.lock
	@PYTHON=$(PYTHON) tools/make-venv $(TOOLS)
	@tools/install $(TOOLS) --require-hashes --requirement requirements/tools.lock
	@touch $@
