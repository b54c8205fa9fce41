# tipbox: `make` prints the targets. Needs git and Python >= 3.11 with venv; all else comes with the lock files.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
ARGS ?=
# Whole files go to a process each; the long ones stand first.
PARALLEL := -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
UNITS := tests/formats tests/release tests/desk tests/server tests/load tests/source tests/stores tests/upkeep

CLIENT_SOURCES := $(shell find client -path client/node_modules -prune -o -path client/dist -prune -o -type f -print)
CATALOGUES := $(shell find tipbox/locale -name '*.po' 2>/dev/null)
WORDLISTS := tipbox/formats/wordlists/__init__.py
LOCK := $(PY) -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--only-binary :all: --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock'
# Node and npm of requirements-build.lock, never the machine's.
CLIENT := cd client && export PATH="$(CURDIR)/$(VENV)/bin:$$PATH" &&
PIP := $(PY) -m pip --disable-pip-version-check install --quiet --require-hashes --only-binary :all:

.DEFAULT_GOAL := help
.PHONY: help setup demo test check clocks coverage mutants bench journeys day faults machines kits soak format lint fuzz messages man release lock clean

help:  ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 10

setup: $(VENV)/.stamp-tipbox  ## .venv with tipbox in it and the built client; needs neither root nor apt

demo: setup  ## the main job end to end on loopback; make demo ARGS=--once exits afterwards
	$(VENV)/bin/tipbox demo $(ARGS)

test: setup $(VENV)/.stamp-test  ## everything: Debian packages, lint, types, units, browsers, promises
	tests/apt.sh
	$(MAKE) --no-print-directory lint
	sync  # what set-up wrote would hold up the first tests' own writes
	$(PY) -m pytest tests --promises $(PARALLEL) $(ARGS)

format: setup $(VENV)/.stamp-test  ## puts all code into the form that lint asks for
	$(PY) -m ruff format .
	$(CLIENT) npm run --silent format

lint: setup $(VENV)/.stamp-test  ## ruff, borders of imports, mypy --strict, tsc, biome, pages and spelling
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(VENV)/bin/lint-imports --no-cache --no-logo
	@echo 'types: minutes the first time, seconds afterwards'
	$(PY) -m mypy
	$(PY) tests/project/docs_check.py
	$(PY) -m codespell_lib
	$(CLIENT) npm run --silent types && npm run --silent lint

check: lint  ## in a minute: lint, types, and the units that start no process and derive no vault key
	$(PY) -m pytest tests --check $(PARALLEL) $(ARGS)

clocks: setup $(VENV)/.stamp-test  ## the units on other days, over a midnight and in other time zones
	tests/apt.sh
	$(PY) tests/clocks.py $(ARGS)

coverage: setup $(VENV)/.stamp-test  ## which lines and branches the units reach, in all and of tipbox/formats
	$(PY) -m coverage run -m pytest $(UNITS) $(ARGS)
	$(PY) -m coverage report --skip-covered
	$(PY) -m coverage report --include='tipbox/formats/*'

mutants: setup $(VENV)/.stamp-test  ## changes tipbox/formats in small ways; fails when no test notices one without a reason
	$(PY) -m mutmut run $(ARGS)
	$(PY) tests/project/survivors.py

bench: setup $(VENV)/.stamp-test  ## speed and memory against their bounds; exits non-zero when one does not hold
	tests/apt.sh
	$(PY) -m pytest tests/bench --timeout 3600 -s $(ARGS)

journeys: setup $(VENV)/.stamp-test  ## the whole way through the pages, in six languages, three browsers and two sizes, axe in each state, each test of the pages in each browser, and 60 MB by the plain form over Tor; takes an hour
	tests/apt.sh
	EVERY_JOURNEY=1 $(PY) -m pytest tests/browser tests/onion/test_plain_onion.py --timeout 3600 $(ARGS)

faults: setup $(VENV)/.stamp-test  ## the desk at every durable write, and a host at every word to PostgreSQL; prints at how many; takes hours
	tests/apt.sh
	EVERY_POINT=1 $(PY) -m pytest tests/desk/test_crash.py tests/desk/test_second_copy.py tests/faults/test_cuts_and_kills.py \
		tests/desk/pages/test_cut_acts.py tests/stores/test_killed_hosts.py tests/stores/test_bucket.py --timeout 14400 -rP $(ARGS)

machines: setup $(VENV)/.stamp-test  ## signed releases on booted Debian 12 and 13: installed, upgraded, and refused in each way; takes a quarter of an hour
	tests/apt.sh
	$(PY) -m pytest tests/deploy/signed_machines.py --timeout 3600 $(ARGS)

day: setup $(VENV)/.stamp-test  ## a staff day with 300 tips and 40 answers by keyboard, in two browsers without a network; every state in six languages
	tests/apt.sh
	WHOLE_DAY=1 $(PY) -m pytest tests/desk/pages/test_day.py tests/desk/pages/test_every_state.py \
		tests/desk/pages/test_kill.py tests/desk/pages/test_hunt.py --timeout 3600 -rP $(ARGS)

kits: setup $(VENV)/.stamp-test  ## the desk from its kit alone, in booted Debian 12 and 13 without a network, to a picture on the screen; prints the kit's size
	tests/apt.sh
	$(PY) -m pytest tests/deploy/whole_kit.py --timeout 7200 -rP $(ARGS)

fuzz: setup $(VENV)/.stamp-test  ## each decoder under a fuzzer, FUZZ_SECONDS=60 each; changed files in sandboxes; readers of Envelopes
	tests/apt.sh
	tests/fuzz.sh $(ARGS)

soak: setup $(VENV)/.stamp-test  ## what takes hours: each decoder under a fuzzer for an hour
	FUZZ_SECONDS=3600 tests/fuzz.sh $(ARGS)

messages: setup $(VENV)/.stamp-test  ## extracts what people read into tipbox/locale
	$(PY) tests/project/messages.py

man: setup  ## the manual page, build/tipbox.1
	mkdir -p build
	$(PY) deploy/man.py >build/tipbox.1

release: setup  ## the folder of a release, to be signed; ARGS='--out DIR --expires DAY' (RELEASING.md)
	$(PY) deploy/make_release.py $(ARGS)

lock: $(VENV)/.stamp-test  ## makes the lock files again; ARGS=--upgrade takes newer versions
	$(LOCK) $(ARGS) pyproject.toml --extra desk --extra source --extra server --group test -o requirements-test.lock
	$(LOCK) -c requirements-test.lock --group pyproject.toml:build -o requirements-build.lock
	$(LOCK) -c requirements-test.lock pyproject.toml --extra source --extra server -o requirements.lock
	$(LOCK) -c requirements-test.lock pyproject.toml --extra desk -o requirements-desk.lock
	$(CLIENT) npm install --package-lock-only --ignore-scripts

clean:  ## removes what setup and the builds made
	rm -rf $(VENV) build dist mutants client/dist client/node_modules

# What is missing is one sentence; and no half-made environment is taken for a whole one.
$(PY):
	@command -v $(PYTHON) >/dev/null || { echo '$(PYTHON) is missing: install Python 3.11 or newer with venv (on Debian: python3-venv), or name one with make PYTHON=...' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'tipbox needs Python 3.11 or newer, $(PYTHON) is older: name a newer one with make PYTHON=...' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo '$(PYTHON) has no venv: install it (on Debian: python3-venv)' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/.stamp-locks: requirements.lock requirements-build.lock requirements-desk.lock | $(PY)
	$(PIP) -r requirements.lock -r requirements-build.lock -r requirements-desk.lock
	touch $@

$(VENV)/.stamp-built: hatch_build.py $(CLIENT_SOURCES) $(CATALOGUES) $(WORDLISTS) $(VENV)/.stamp-locks
	$(PY) hatch_build.py
	touch $@

# The code itself is read from the checkout; only a change of the metadata asks for a new install.
$(VENV)/.stamp-tipbox: pyproject.toml $(VENV)/.stamp-built
	$(PY) -m pip --disable-pip-version-check install --quiet --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.stamp-test: requirements-test.lock $(VENV)/.stamp-locks
	$(PIP) -r requirements-test.lock
	touch $@
