# Set up, try and test a fresh clone. Needs python3, git and make; finds or installs Python 3.13 itself.
#
#   make PYTHON=/path/to/python3.13 ...   use this Python
#   make demo WORKERS=1                   one render process (default: one per core)
#   make test PYTEST_ARGS="-k manifest"   only some of the tests
#   make study STUDY_ARGS="--only ladder --seeds 1 --time 60"   only a part of the study

.DEFAULT_GOAL := help
.PHONY: help venv demo base test soak lint bench study docs clean-base clean-demo say-demo say-base say-test
.NOTPARALLEL:
.DELETE_ON_ERROR:
export PYTHON

BIN := .venv/bin
INSTALLED := .venv/.installed
CORES := $(shell nproc 2>/dev/null || echo 1)
WORKERS ?= $(CORES)
PYTEST_ARGS ?=
# The tests of a file run in one process, as they share renders and trained models.
PARALLEL := -n auto --dist loadfile
SOAK ?= 20
STUDY_ARGS ?=

# Announces a command and prints a line after 8 s of silence.
RUN := $(BIN)/python .ci/say_alive.py

BENCHMARKS := $(basename $(notdir $(wildcard benchmarks/bench_*.py)))

DEMO := demo
DEMO_MANIFEST := manifests/demo.csv

BASE := base
BASE_DATA := $(BASE)/data.sha256
BASE_SCENES := $(addprefix scenes/,auto_2x11.toml circular_5.toml connector_3x9.toml dsub_9.toml header_2x8.toml wire_to_board_1x6.toml)
BASE_SPECS := manifests/base_defects.toml manifests/base_gauge.toml

help:
	@echo "make demo    render manifests/demo.csv, build the dataset, train a ViT, judge an unseen render: 4 minutes"
	@echo "make base    train a ViT and a gauge on 54 connectors, for the trainers' option --init base: an hour"
	@echo "make test    lint, then every test: 15 minutes; needs a blender executable (installed if you are root)"
	@echo "make soak    the tests with random input, killed processes and memory, at length: hours; with SOAK=5 a quarter of them"
	@echo "make lint    ruff and mypy"
	@echo "make bench   measure the speed of rendering, building, inspection and training"
	@echo "make study   do the trainings behind docs/explanation/results.md: 21 hours; STUDY_ARGS=\"--list\" lists what is left"
	@echo "make docs    the documentation as a web site in site/"
	@echo "make venv    only make .venv and install"
	@echo "make clean-demo, make clean-base   remove the results of make demo, of make base"

venv: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt .python-version
	.ci/make_venv
	touch $@

# No access to the Hugging Face Hub: data and models are made here.
demo base bench study test soak: export HF_HUB_OFFLINE := 1

say-demo:
	@echo "make demo: renders 120 pictures of a connector with defects, builds a dataset, trains a small model, judges unseen"
	@echo "pictures. About 4 minutes on two cores; the first time 2 minutes of set-up before that (7 GB of disk, a network)."
	@echo "Repeated after an interruption it keeps the pictures that are there. Results: $(DEMO)/"

demo: say-demo $(INSTALLED)
	@$(RUN) "1 of 7: look for system libraries, seconds" $(BIN)/python .ci/system_packages.py
	@$(RUN) "2 of 7: check the manifest, seconds" $(BIN)/python -m generator check $(DEMO_MANIFEST)
	@$(RUN) "3 of 7: render 120 pictures, about 1 minute" \
	    $(BIN)/python -m generator render $(DEMO_MANIFEST) --out $(DEMO)/renders --workers $(WORKERS)
	@$(RUN) "4 of 7: build the dataset, seconds" $(BIN)/python -m generator build $(DEMO)/renders --to $(DEMO)/dataset
	@$(RUN) "5 of 7: write the report, seconds" \
	    $(BIN)/python -m generator report $(DEMO)/dataset -o $(DEMO)/report.html --renders $(DEMO)/renders
	@$(RUN) "6 of 7: train 48 epochs, about 2 minutes" \
	    $(BIN)/python -m trainer.vit --data $(DEMO)/dataset --out $(DEMO)/run --epochs 48 --overwrite
	@unseen=$$($(BIN)/python .ci/unseen_renders.py $(DEMO_MANIFEST) $(DEMO)/renders) && \
	    $(RUN) "7 of 7: judge renders that training has not seen, seconds" \
	    $(BIN)/python -m trainer.predict --model $(DEMO)/run $$unseen --out $(DEMO)/predictions
	@echo
	@echo "The results:"
	@echo "  $(DEMO)/renders/images     the pictures; in folders beside it masks and records (the truth of each pin)"
	@echo "  $(DEMO)/dataset            the dataset: datasets.load_dataset(\"$(DEMO)/dataset\")"
	@echo "  $(DEMO)/report.html        the report on it: open it in a browser"
	@echo "  $(DEMO)/run                the trained model; its page is $(DEMO)/run/report.html"
	@echo "  $(DEMO)/predictions        the model's verdicts on renders it has not seen"

say-base:
	@echo "make base: renders 2,448 pictures of 54 connectors, the six in scenes/ and 48 random ones, and trains a ViT and a gauge on"
	@echo "them, which --init base begins with. About 60 minutes on two cores, after 2 minutes of set-up the first time. Repeated"
	@echo "after an interruption it continues. Results: $(BASE)/vit and $(BASE)/gauge"

# The two trainings run at the same time, each on half of the cores: one alone does not use two cores well.
HALF := $$(( ($(CORES) + 1) / 2 ))
base: say-base $(BASE_DATA)
	@words=; for run in "vit --epochs 20 --image-size 256x128" "gauge --epochs 20"; do \
	    set -- $$run; name=$$1; shift; to=$(BASE)/$$name; \
	    test -f $$to/report.html || words="$${words:+$$words -- }$$name $(BIN)/python -m trainer.$$name --data $(BASE)/dataset \
	        --out $$to $$(test -f $$to/config.json && echo --resume || echo --threads $(HALF)) $$*"; done; \
	test -z "$$words" || $(RUN) "5 of 5: train the ViT and the gauge at the same time, about 45 minutes" \
	    $(BIN)/python .ci/side_by_side.py $$words
	@echo
	@echo "Trained: $(BASE)/vit and $(BASE)/gauge. From this folder: python -m trainer.vit --init base, python -m trainer.gauge --init base"

# $(BASE_DATA) holds the digest of the dataset. Other pictures than before: the runs are trained again.
$(BASE_DATA): $(BASE_SPECS) $(BASE_SCENES) generator/doe/random_connectors.py | $(INSTALLED)
	@$(RUN) "1 of 5: look for system libraries, seconds" $(BIN)/python .ci/system_packages.py
	@mkdir -p $(BASE)/scenes && cp $(BASE_SCENES) $(BASE)/scenes
	@$(RUN) "2 of 5: write scene files of random connectors, seconds" $(BIN)/python -m generator connectors -o $(BASE)/scenes --overwrite
	@for spec in $(BASE_SPECS); do name=$$(basename $$spec .toml); \
	    $(RUN) "3 of 5: design the pictures of $$name, seconds" \
	        $(BIN)/python -m generator design $$spec --scenes $(BASE)/scenes -o $(BASE)/$$name.csv && \
	    $(RUN) "and render them, about 5 minutes" $(BIN)/python -m generator render $(BASE)/$$name.csv \
	        --scenes $(BASE)/scenes --out $(BASE)/renders --workers $(WORKERS) || exit 1; done
	@$(RUN) "4 of 5: build the dataset, seconds" $(BIN)/python -m generator build $(BASE)/renders --to $(BASE)/dataset
	@grep content_sha256 $(BASE)/dataset/README.md > $(BASE)/new.sha256
	@if test -f $@ && ! cmp -s $@ $(BASE)/new.sha256; then \
	    echo "The pictures differ from those before: $(BASE)/vit and $(BASE)/gauge are trained again."; \
	    rm -rf $(BASE)/vit $(BASE)/gauge; fi
	@mv $(BASE)/new.sha256 $@

clean-base:
	rm -rf $(BASE)

say-test:
	@echo "make test: ruff, mypy, then every test on all cores: about 15 minutes on two, after 2 minutes of set-up the first time."

test: say-test lint
	@$(RUN) "look for system libraries and Blender, seconds" $(BIN)/python .ci/system_packages.py --blender
	@$(RUN) "tests, about 10 minutes" $(BIN)/python -m pytest -q $(PARALLEL) $(PYTEST_ARGS)

# Hypothesis draws SOAK times as many examples, new ones each time; tests that kill processes do so at more moments.
soak: $(INSTALLED)
	$(BIN)/python .ci/system_packages.py --blender
	PINSIGHT_SOAK=$(SOAK) $(BIN)/python -m pytest -q $(PARALLEL) -m "soak or hypothesis" $(PYTEST_ARGS)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@$(RUN) "types, about a minute" $(BIN)/mypy

bench: $(INSTALLED)
	$(BIN)/python .ci/system_packages.py
	@for bench in $(BENCHMARKS); do echo "== $$bench"; $(BIN)/python -m benchmarks.$$bench || exit 1; done

# Finished runs are never repeated: kill it at any time, and run it again.
study: $(INSTALLED)
	$(BIN)/python .ci/system_packages.py
	$(BIN)/python -m studies $(STUDY_ARGS)

docs: $(INSTALLED)
	@$(RUN) "build the documentation into site/, about 10 s" env NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "Open site/index.html in a browser; no network is needed."

clean-demo:
	rm -rf $(DEMO)
