# Every target makes its own environment in .venv; nothing but Python 3.11 or newer and make need be there.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
WISDM ?= ../shared/data/wisdm_watch
PACKAGED := runtime/mmvq_run/packaged

.PHONY: demo tutorial test lint clean packaged-model embedded-data demo-capture bench-packaged bench-bank bench-composite bench-codebook bench-uea bench-vqshape bench-distillation bench-search bench-accuracy bench-explanation bench-robustness bench-latency bench-endurance bench-live bench-fuzz bench-protocol bench-device-files bench-ablation ablation bench-fresh-clone

demo: $(VENV)/.export        ## train on real wrist recordings, export int8, run live on a simulated wearable
	BIN=$(BIN) sh scripts/demo.sh

tutorial: $(VENV)/.export    ## docs/tutorial.md: record one's own activities, train, export, run (about three minutes)
	BIN=$(BIN) sh scripts/tutorial.sh

test: $(VENV)/.dev lint      ## everything CI runs
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The model that ships: folds 1-4 of WISDM train it, the people of fold 0 are never seen; as benchmarks/deployed.py has it.
# About 25 minutes on one core.
packaged-model: $(VENV)/.export
	rm -rf runs/packaged
	$(BIN)/mmvq-train --data $(WISDM)/wisdm_watch.parquet --split $(WISDM)/splits.json --fold 0 --out runs/packaged \
		--teachers.use none --codebook.epochs 4 --student.epochs 48 --student.mixed 12 --student.forearm x
	$(BIN)/mmvq-export runs/packaged --quantize int8 --out $(PACKAGED)/student.onnx
	$(BIN)/python benchmarks/packaged.py $(WISDM)
	$(BIN)/python scripts/make_model_card.py

embedded-data: $(VENV)/.export
	$(BIN)/python scripts/make_embedded_data.py $(WISDM)

demo-capture: $(VENV)/.export
	$(BIN)/python scripts/make_demo_capture.py $(WISDM)

bench-packaged: $(VENV)/.export  ## the packaged model on the people of WISDM fold 0
	$(BIN)/python benchmarks/packaged.py $(WISDM)

bench-bank: $(VENV)/.dev        ## the shipped text banks: claims against recordings, codebooks, probe (about 20 minutes)
	HF_HUB_OFFLINE=1 $(BIN)/python benchmarks/bank.py $(dir $(WISDM))
	$(BIN)/python scripts/make_bank_page.py

bench-composite: $(VENV)/.dev    ## whether a token's sub-action is the right one, on composite activities (about 10 minutes)
	$(BIN)/python benchmarks/composite.py $(dir $(WISDM))..

bench-codebook: $(VENV)/.dev     ## shape codes: accuracy, truth, stability, trade-off, text controls (hours; goes on if stopped)
	$(BIN)/python benchmarks/codebook.py $(dir $(WISDM))
	$(BIN)/python scripts/make_codebook_page.py

bench-uea: $(VENV)/.dev          ## four UEA sets: our features in one linear layer (about an hour)
	$(BIN)/python benchmarks/uea.py $(dir $(WISDM))uea_motion

bench-vqshape: $(VENV)/.dev      ## plain VQShape on the wrist recordings and on UEA (about an hour; goes on if stopped)
	$(BIN)/python benchmarks/vqshape.py $(dir $(WISDM))

bench-distillation: $(VENV)/.dev ## ways to learn from teachers, one beside the other (many hours; goes on if stopped)
	$(BIN)/python benchmarks/distillation.py $(dir $(WISDM))
	$(BIN)/python scripts/make_distillation_page.py

bench-search: $(VENV)/.dev       ## forms of the student and ways of learning, on training people (many hours; goes on if stopped)
	$(BIN)/python benchmarks/search.py $(dir $(WISDM))
	$(BIN)/python scripts/make_benchmarks_page.py

bench-accuracy: $(VENV)/.bench   ## the student and whatever one would use instead, five folds (many hours; goes on if stopped)
	$(BIN)/python benchmarks/accuracy.py $(dir $(WISDM))
	$(BIN)/python scripts/make_benchmarks_page.py

bench-explanation: $(VENV)/.export  ## whether reasons are true, of the models that bench-accuracy left (minutes)
	$(BIN)/python benchmarks/explanation.py $(dir $(WISDM))
	$(BIN)/python scripts/make_benchmarks_page.py

bench-robustness: $(VENV)/.export   ## activities that nobody taught the student (hours; goes on if stopped)
	$(BIN)/python benchmarks/robustness.py $(dir $(WISDM))
	$(BIN)/python scripts/make_benchmarks_page.py

bench-latency: $(VENV)/.bench   ## what files weigh and how long a call takes (minutes, on an idle machine)
	$(BIN)/python benchmarks/latency.py
	$(BIN)/python scripts/make_benchmarks_page.py

ablation: bench-ablation bench-codebook bench-composite  ## the tables of what each part moves

bench-endurance: $(VENV)/.export ## hours of bad line, drifting clocks, a whole day, kills, of the runtime (about 20 minutes)
	$(BIN)/python benchmarks/endurance.py

bench-live: $(VENV)/.export      ## one wearable live, a plug that comes out, hundreds by TCP (minutes, on an idle machine)
	$(BIN)/python benchmarks/live.py

bench-fuzz: $(VENV)/.bench       ## every parser of what comes from outside, a minute each (atheris)
	$(BIN)/python benchmarks/fuzz.py

bench-protocol: $(VENV)/.dev     ## the wire protocol in C and Python: agreement, fuzzing, size, speed (needs gcc and arm-none-eabi-gcc)
	$(BIN)/python benchmarks/protocol.py

bench-device-files: $(VENV)/.dev ## what is read of real device files, and what mmvq-run makes of it
	$(BIN)/python benchmarks/device_files.py $(dir $(WISDM))

bench-ablation: $(VENV)/.export  ## what each stage moves, on the embedded people (about 40 minutes)
	$(BIN)/python benchmarks/ablation.py

bench-fresh-clone:               ## make demo and make test in a fresh clone, with their times
	$(PYTHON) benchmarks/fresh_clone.py

clean:
	rm -rf $(VENV) runs dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

# export: what `make demo` needs; dev: that and the tests' tools. Both keep to constraints.txt.
$(VENV)/.export: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[export]'
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

# the peers' package wants older numba than the rest is content with: pip settles it
$(VENV)/.bench: $(VENV)/.dev
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,bench]'
	touch $@

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
