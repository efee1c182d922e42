# Set up, try and test a fresh clone. Needs python3, git and make; finds or installs Python 3.13 itself.
#
#   make PYTHON=/path/to/python3.13 ...   use this Python
#   make demo WORKERS=1                   one render process (default: one per core)
#   make test PYTEST_ARGS="-k manifest"   only some of the tests
#   make study STUDY_ARGS="--only ladder --seeds 1 --time 60"   only a part of the study

.DEFAULT_GOAL := help
.PHONY: help venv demo test soak lint bench study clean-demo
.DELETE_ON_ERROR:
export PYTHON

BIN := .venv/bin
INSTALLED := .venv/.installed
WORKERS ?= $(shell nproc 2>/dev/null || echo 1)
PYTEST_ARGS ?=
# The tests of a file run in one process, as they share renders and trained models.
PARALLEL := -n auto --dist loadfile
SOAK ?= 20
STUDY_ARGS ?=

BENCHMARKS := $(basename $(notdir $(wildcard benchmarks/bench_*.py)))

DEMO := demo
DEMO_MANIFEST := manifests/demo.csv

help:
	@echo "make demo    render manifests/demo.csv, build the dataset, train a ViT, judge an unseen render"
	@echo "make test    lint, then every test; needs a blender executable (installed if you are root)"
	@echo "make soak    what is random, killed or long, at length: hours; SOAK=5 is a quarter of it"
	@echo "make lint    ruff and mypy"
	@echo "make bench   how fast the parts are, as numbers"
	@echo "make study   train what docs/explanation/results.md is made from; STUDY_ARGS=\"--list\" says what is left"
	@echo "make venv    only make .venv and install"
	@echo "make clean-demo   remove the demo's results"

venv: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt .python-version
	.ci/make_venv
	touch $@

# No access to the Hugging Face Hub: data and models are made here.
demo bench study test soak: export HF_HUB_OFFLINE := 1

demo: $(INSTALLED)
	$(BIN)/python .ci/system_packages.py
	$(BIN)/python -m generator check $(DEMO_MANIFEST)
	$(BIN)/python -m generator render $(DEMO_MANIFEST) --out $(DEMO)/renders --workers $(WORKERS)
	$(BIN)/python -m generator build $(DEMO)/renders --to $(DEMO)/dataset
	$(BIN)/python -m generator report $(DEMO)/dataset -o $(DEMO)/report.html --renders $(DEMO)/renders
	$(BIN)/python -m trainer.vit --data $(DEMO)/dataset --out $(DEMO)/run --epochs 48 --overwrite
	unseen=$$($(BIN)/python .ci/unseen_renders.py $(DEMO_MANIFEST) $(DEMO)/renders) && \
	    $(BIN)/python -m trainer.predict --model $(DEMO)/run $$unseen --out $(DEMO)/predictions
	@echo
	@echo "The results:"
	@echo "  $(DEMO)/renders/images     the pictures; masks and records (the truth of each pin) beside them"
	@echo "  $(DEMO)/dataset            the dataset: datasets.load_dataset(\"$(DEMO)/dataset\")"
	@echo "  $(DEMO)/report.html        the report on it: open it in a browser"
	@echo "  $(DEMO)/run                the trained model, its metrics and curves"
	@echo "  $(DEMO)/predictions        the model's verdicts on renders it has not seen"

test: lint
	$(BIN)/python .ci/system_packages.py --blender
	$(BIN)/python -m pytest -q $(PARALLEL) $(PYTEST_ARGS)

# Hypothesis draws SOAK times as many examples, new ones each time; tests that kill processes do so at more moments.
soak: $(INSTALLED)
	$(BIN)/python .ci/system_packages.py --blender
	PINSIGHT_SOAK=$(SOAK) $(BIN)/python -m pytest -q $(PARALLEL) -m "soak or hypothesis" $(PYTEST_ARGS)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(INSTALLED)
	$(BIN)/python .ci/system_packages.py
	@for bench in $(BENCHMARKS); do echo "== $$bench"; $(BIN)/python -m benchmarks.$$bench || exit 1; done

# Finished runs are never repeated: kill it at any time, and run it again.
study: $(INSTALLED)
	$(BIN)/python .ci/system_packages.py
	$(BIN)/python -m studies $(STUDY_ARGS)

clean-demo:
	rm -rf $(DEMO)
