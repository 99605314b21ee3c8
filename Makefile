# make run     a demonstration: the exporter in a small mail world of its own, on loopback
# make test    everything a change must pass: lint and all tests, in WORKERS processes; asks before it installs servers
# make quick   the tests that need neither servers nor long, in a minute
# make lint    ruff and mypy
# make format  lay the code out anew, and mend what ruff can mend
# make test-slow  the container image, built and run; as root
# make drill   trouble of 15 kinds, a real Prometheus and Alertmanager, exactly the expected notices; every page
#              drawn at three widths and in both themes, into .venv/pictures; in 6 minutes
# make torture every attack at its full size, in less than an hour; by hand and before a release
# make mutants  changes of the core, a sample of SAMPLE of each file: how many do its tests notice? by hand
# make bench  what each kind of work costs, beside other programs; by hand, in an hour; BENCH=--full is the whole fleet
# make docs    make again what is made from the code: rules, dashboards, the reference, tables of documents
# make pictures  draw the pages of a fleet again, for the documents; as root
# make lock    choose the pinned packages anew, from pyproject.toml
# make clean   remove what the others made

PYTHON ?= python3
BIN := .venv/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --custom-compile-command "make lock" pyproject.toml

# What the tests start, and the Debian package that has it.
TOOLS := unbound:unbound nsd:nsd rbldnsd:rbldnsd postconf:postfix prometheus:prometheus promtool:prometheus \
	amtool:prometheus-alertmanager faketime:faketime chromium:chromium ip:iproute2
# What builds and runs the image where no container engine is.
BUILDERS := buildah:buildah podman:podman runc:runc mmdebstrap:mmdebstrap
# Name servers to measure with, and other programs to compare with.
RIVALS := knotd:knot rbldnsd:rbldnsd unbound:unbound dnsperf:dnsperf \
	prometheus-blackbox-exporter:prometheus-blackbox-exporter
# Mail servers that Debian does not install beside another.
SERVERS := exim4:exim4-daemon-light smtpd:opensmtpd

# Each process needs a core: tests that wait for others look like code that is slow. The groups are in tests/conftest.py.
WORKERS ?= 2
SPREAD := -n $(WORKERS) --dist loadgroup --no-loadscope-reorder

.PHONY: run test quick lint format test-slow drill torture mutants bench tools builders docs pictures lock clean

run: .venv/.for-run
	$(BIN)/deliverability-exporter demo

test: .venv/.for-test tools lint
	$(BIN)/pytest -q $(SPREAD)

quick: .venv/.for-test
	$(BIN)/pytest -q $(SPREAD) -m "not lab and not drill and not long and not slow"

lint: .venv/.for-test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: .venv/.for-test
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

test-slow: .venv/.for-test builders
	$(BIN)/pytest -q -m slow tests/slow

drill: .venv/.for-test tools
	PICTURES=.venv/pictures $(BIN)/pytest -q -m "lab or drill" tests/lab/alerting/test_drill.py tests/lab/test_pictures.py

torture: .venv/.for-test tools
	TORTURE=1 $(BIN)/pytest -q $(SPREAD) -m torture

mutants: .venv/.for-test
	$(BIN)/python -m tools.mutants $(or $(SAMPLE),30)

bench: .venv/.for-test
	@.ci/ask ".ci/ensure $(RIVALS)"
	$(BIN)/python -m bench.table $(BENCH)
	$(BIN)/python -m tools.docs

# At a terminal, whoever starts this is asked before anything is installed on the machine.
tools:
	@.ci/ask ".ci/ensure $(TOOLS)" ".ci/unpack .venv/servers $(SERVERS)"

# The image's packages come from here too, so that the build itself needs no network.
builders: .venv/.made
	@.ci/ask ".ci/ensure $(BUILDERS)" ".ci/stand-in .venv/images/base.tar"
	$(BIN)/python -m pip download --quiet --disable-pip-version-check --require-hashes \
		--dest .venv/images/wheels --requirement requirements.txt

.venv/.made:
	@PYTHON=$(PYTHON) .ci/ask ".ci/ensure ensurepip:python3-venv"
	$(PYTHON) -m venv .venv
	@touch $@

# An update of the pins reaches an environment that is already there; the project itself is only linked into it.
.venv/.for-run: requirements.txt pyproject.toml | .venv/.made
	$(PIP_INSTALL) --require-hashes --requirement $<
	$(PIP_INSTALL) --no-deps --editable .
	$(BIN)/python -m compileall -q exporter
	@touch $@

.venv/.for-test: requirements-test.txt pyproject.toml | .venv/.made
	$(PIP_INSTALL) --require-hashes --requirement $<
	$(PIP_INSTALL) --no-deps --editable .
	@touch $@

docs: .venv/.for-run
	$(BIN)/python -m tools.docs
	$(BIN)/python -m exporter publish .

pictures: .venv/.for-test tools
	$(BIN)/python -m tests.first_hour.pictures docs/images

# Needs uv. Neither file names a package index: whoever installs brings their own, and the hashes hold it to these files.
lock:
	$(LOCK) --upgrade --extra speed --output-file requirements.txt
	$(LOCK) --upgrade --extra speed --extra test --constraint requirements.txt --output-file requirements-test.txt

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis dist
