# Everything a person or CI does. `make` alone shows the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed

.PHONY: help run chip test test-full test-quick lint lint-rtl formal format docs docs-site speed bench synth gates mac-forms install-synth install-liberty install-icarus install-fst install-gtkwave install-chromium view-app view-figures coverage clean

help:  ## show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml
	@echo "setting up $(VENV): Python packages of 700 MB, which take a minute or two to install"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	$(BIN)/python -m tsp.sim.checkout
	touch $@

run: $(STAMP)  ## set up, multiply and attend on the RTL of `small`, and print a table
	$(BIN)/tsp demo

# Each worker begins with one half of the files, so that both do not wait for the same simulator.
PYTEST := $(BIN)/python -m pytest -n 2 --dist worksteal

test: $(STAMP)  ## set up and run the tests, but those of big configurations
	$(PYTEST)

test-full: $(STAMP)  ## the tests and the big configurations, which take long to build
	$(PYTEST) -m "full or not full"

# Files that build no simulator and elaborate no core to simulate it.
QUICK := asm assembly bench_page cache cli_options config dataflow exact floorplan golden \
	golden_sxm golden_units hierarchy info isa layout matmul_kernel measure program report \
	rules schedule

test-quick: $(STAMP)  ## the tests of units in Python, in less than a minute
	$(PYTEST) $(QUICK:%=tests/test_%.py)

lint: $(STAMP)  ## check style, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

lint-rtl: $(STAMP)  ## lint the Verilog of all presets; needs Icarus (make install-icarus)
	$(BIN)/tsp lint

formal: $(STAMP)  ## prove properties of queue, streams, memory and rounding
	$(BIN)/tsp formal

format: $(STAMP)  ## repair style and formatting where a tool can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(STAMP)  ## regenerate what the docs take from the code: ISA reference, tables, figures
	$(BIN)/python -m tsp.sim.docs --write

docs-site: $(STAMP)  ## build the docs as a site with an API reference, in build/site; needs no network to read
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict --config-file docs/site/mkdocs.yml

speed: $(STAMP)  ## compare the runner's simulation speed with the bare Verilator model
	$(BIN)/tsp speed

BENCH ?=

bench: $(STAMP) install-synth  ## measure the results page anew, which takes hours; BENCH='--part speed' for a part
	$(BIN)/tsp bench $(BENCH)

coverage: $(STAMP)  ## coverage of RTL and instruction set; writes build/coverage.md
	mkdir -p build
	$(BIN)/tsp coverage --markdown build/coverage.md

chip: $(STAMP)  ## build the full-size chip and compare it with the golden model; about 10 minutes
	$(BIN)/tsp chip

CONFIG ?= nano

synth: $(STAMP) install-synth  ## area of each slice of CONFIG (nano), and the clock of nano, placed and routed
	$(BIN)/tsp synth --config $(CONFIG) $(if $(filter nano,$(CONFIG)),--place-core)

gates: $(STAMP) install-synth  ## a product on the gates of nano, as Yosys makes them; needs Icarus
	$(BIN)/tsp run matmul --config nano --backend gates --m 8 --k 8 --n 8

install-synth: $(STAMP)  ## install Yosys and nextpnr from PyPI; `make synth` does
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[synth]'

install-liberty:  ## install a standard-cell library from Debian (needs root); for the area of a chip
	apt-get update
	apt-get install --yes --no-install-recommends qflow-tech-osu018

mac-forms: $(STAMP) install-synth  ## measure the forms of the exact multiply-accumulate; installs Yosys from PyPI
	$(BIN)/python -m tsp.sim.bench_mac

install-icarus:  ## install Icarus Verilog from Debian (needs root); for lint-rtl, gates, `--backend icarus` and some tests
	apt-get update
	apt-get install --yes --no-install-recommends iverilog

install-fst:  ## install what .fst waveforms need from Debian (needs root); .vcd needs nothing
	apt-get update
	apt-get install --yes --no-install-recommends liblz4-dev zlib1g-dev

install-gtkwave:  ## install the waveform viewer from Debian (needs root); nothing else needs it
	apt-get update
	apt-get install --yes --no-install-recommends gtkwave

install-chromium:  ## install Chromium from Debian (needs root); for the tests of the page of `tsp view`
	apt-get update
	apt-get install --yes --no-install-recommends chromium

view-app:  ## build and test the page of `tsp view` from its TypeScript; needs node 20 and npm
	npm --prefix sim/view/app ci --no-audit --no-fund
	npm --prefix sim/view/app run check
	npm --prefix sim/view/app run build
	npm --prefix sim/view/app test

view-figures: $(STAMP)  ## take the pictures of views that README and docs show; needs Chromium
	$(BIN)/python -m tsp.sim.view.shots

clean:  ## delete the environment and what tools leave behind; the simulator cache stays
	rm -rf $(VENV) build .pytest_cache .ruff_cache .mypy_cache .hypothesis *.egg-info
