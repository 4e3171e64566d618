# What one can do here. `make help` lists it.
PYTHON ?= python3
VENV ?= .venv
OLDEST := $(CURDIR)/.venv-oldest
DEMO_DATA ?= datasets/synthetic
DEMO_VIDEOS ?= datasets/videos
# Tracklets; the table of docs/performance.md has 1000000.
GALLERY ?= 20000
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check
RUN := $(VENV)/bin/python
INSTALLED := $(VENV)/xreid-installed

TABLES := projects/XReID/configs/ablations
ON_TAUGHT := --overlay projects/XReID/configs/synthetic.yml --overlay projects/XReID/configs/taught.yml
PROMPTS := --import projects/CLIPReID/clip_reid.py
TABLE_KEYS := DATASETS.ROOT datasets/tables TEST.RERANK.ENABLED True TEST.EVAL_AT_START False SOLVER.AMP.ENABLED True

.PHONY: help install demo compare tables tables-toolbox benchmark test quick test-oldest lint types check clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED)  ## virtual environment with every dependency, in VENV (default .venv, about 8 GB; clones may share one)

# Dependencies alone, not this checkout, so that clones can share the environment. fast-reid's own pins (torch 1.13) have
# no wheels for today's Python, and pip cannot be told to ignore them: hence --no-deps.
$(INSTALLED): pyproject.toml
	@test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	@$(RUN) -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; print(*p['dependencies'], *p['optional-dependencies']['dev'], sep='\n')" > $(VENV)/wanted.txt
	@cmp -s $(VENV)/wanted.txt $(VENV)/requirements.txt && test -e $@ || { \
		echo "Installing torch, faiss, OpenCV and the rest into $(VENV), about 8 GB: 5 to 10 minutes."; \
		$(PIP) install --requirement $(VENV)/wanted.txt && $(PIP) install --no-deps fastreid==1.4.0; }
	@mv $(VENV)/wanted.txt $(VENV)/requirements.txt
	@touch $@

demo: $(INSTALLED) $(DEMO_DATA)/info $(DEMO_VIDEOS)/visible.avi  ## synthetic data, training, metrics before and after, and a page: logs/xreid/synthetic/report.html
	$(RUN) tools/train_net.py --config-file projects/XReID/configs/synthetic.yml DATASETS.ROOT $(DEMO_DATA) \
		TEST.SAVE_FEATURES logs/xreid/synthetic/features.npz
	$(RUN) tools/report.py logs/xreid/synthetic
	@echo "Done: a model trained on drawn people, logs/xreid/synthetic/model_final.pth, and its page, report.html beside it."
	@echo "Next: search the videos in $(DEMO_VIDEOS) with it, as docs/search.md shows; or train on real data, as README.md does."

$(DEMO_DATA)/info: | $(INSTALLED)
	$(RUN) tools/make_synthetic_vcm.py --output $(DEMO_DATA) --train-identities 150 --test-identities 50 --workers 2

$(DEMO_VIDEOS)/visible.avi: | $(INSTALLED)
	$(RUN) tools/make_synthetic_vcm.py --output $(DEMO_VIDEOS) --layout videos --train-identities 150 --test-identities 50 --size 192 96

compare: $(INSTALLED) $(DEMO_DATA)/info  ## X-ReID, its tower alone and bag of tricks, small, on the synthetic data: logs/compare/report.md
	$(RUN) tools/compare.py xreid=projects/XReID/configs/vcm.yml configs/baselines/clip_vit_b16.yml \
		configs/baselines/bot_r18.yml --seeds 0 --output logs/compare --overlay projects/XReID/configs/synthetic.yml \
		--overlay configs/from-scratch.yml DATASETS.ROOT $(DEMO_DATA) TEST.RERANK.ENABLED True TEST.EVAL_AT_START False \
		SOLVER.IMS_PER_BATCH 16 SOLVER.ITERS_PER_EPOCH 60 SOLVER.MAX_EPOCH 6 SOLVER.WARMUP_ITERS 60

# Rows that two tables share are trained once, and clips of four frames have no stride above 3. Goes on where it was stopped.
tables: $(INSTALLED) logs/taught/clip.pt datasets/tables/info  ## the paper's tables 3 to 5 and figures 4 and 5 on drawn people, three seeds: logs/tables/report.md
	$(RUN) tools/compare.py $(TABLES)/table4/[13456]*.yml $(TABLES)/table5/[2-8]*.yml \
		$(foreach s,2 3,figure4_$(s)=$(TABLES)/figure4/stride_$(s).yml) \
		$(foreach s,0 1 3,figure5_$(s)=$(TABLES)/figure5/stride_$(s).yml) \
		--seeds 0 1 2 --output logs/tables $(ON_TAUGHT) $(TABLE_KEYS)
	$(RUN) tools/compare.py projects/CLIPReID/configs/stage1.yml $(PROMPTS) --output logs/tables-stage1 $(ON_TAUGHT) $(TABLE_KEYS) \
		SOLVER.BASE_LR 0.0035
	$(RUN) tools/compare.py $(TABLES)/table4/2_textual_prompts.yml $(PROMPTS) --seeds 0 1 2 --output logs/tables-prompts \
		$(ON_TAUGHT) $(TABLE_KEYS) MODEL.WEIGHTS logs/tables-stage1/stage1/seed0/model_final.pth
	$(MAKE) tables-toolbox

tables-toolbox: logs/taught/resnet18.pth datasets/tables/info  ## of them, the toolbox's baselines, whose ResNet-18 takes hours to be taught
	$(RUN) tools/compare.py configs/baselines/bot_r18.yml agw_r18=configs/baselines/agw_r50.yml \
		--seeds 0 1 2 --output logs/tables-toolbox $(ON_TAUGHT) --overlay configs/from-scratch.yml \
		$(TABLE_KEYS) MODEL.BACKBONE.DEPTH 18x MODEL.BACKBONE.FEAT_DIM 512 \
		MODEL.BACKBONE.PRETRAIN_PATH logs/taught/resnet18.pth

logs/taught/clip.pt: | $(INSTALLED)
	$(RUN) tools/pretrain_clip.py --output $@ --bfloat16 --workers 2

logs/taught/resnet18.pth: | $(INSTALLED)
	$(RUN) tools/pretrain_clip.py --output $@ --bfloat16 --workers 2 --model resnet18

datasets/tables/info: | $(INSTALLED)
	$(RUN) tools/make_synthetic_vcm.py --output datasets/tables --train-identities 500 --test-identities 100 --workers 2

benchmark: $(INSTALLED)  ## every table of docs/performance.md that needs no GPU: logs/benchmark-*.jsonl
	mkdir -p logs
	OMP_NUM_THREADS=1 $(RUN) tools/benchmark.py data pack refresh inference startup --json logs/benchmark-one-thread.jsonl
	$(RUN) tools/benchmark.py step collectives waiting --json logs/benchmark-step.jsonl
	$(RUN) tools/benchmark.py ranking rerank --json logs/benchmark-ranking.jsonl
	$(RUN) tools/benchmark.py ranking rerank --growth --json logs/benchmark-growth.jsonl
	$(RUN) tools/benchmark.py gallery --sizes $(GALLERY) --repeats 1 --json logs/benchmark-gallery.jsonl
	$(RUN) tools/estimate_memory.py --config-file projects/XReID/configs/vcm.yml
	$(RUN) -m pytest -s -q tests/engine/test_device_work.py -k baselines

# A process of tests a core, up to four, since each holds up to 4 GB; a file's tests share what it has prepared.
# In the order of their folders: by number of tests, the few that run real commands, and take longest, would come last.
test: $(INSTALLED)  ## the whole suite
	OMP_NUM_THREADS=1 $(RUN) -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

quick: $(INSTALLED)  ## the suite without what takes seconds: about a minute
	OMP_NUM_THREADS=1 $(RUN) -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder -m "not slow"

# Old versions warn of names that others have deprecated since.
test-oldest:  ## make quick with the oldest versions that pyproject.toml admits, in .venv-oldest
	@test -x $(OLDEST)/bin/python || $(PYTHON) -m venv $(OLDEST)
	@$(OLDEST)/bin/python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
		| sed 's/>=/==/' > $(OLDEST)/oldest.txt
	PIP_CONSTRAINT=$(OLDEST)/oldest.txt PYTEST_ADDOPTS="-W ignore::DeprecationWarning -W ignore::FutureWarning" \
		$(MAKE) quick VENV=$(OLDEST)

lint: $(INSTALLED)  ## ruff's lint and format
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

types: $(INSTALLED)  ## mypy
	$(RUN) -m mypy

check: lint types test  ## all that CI does

clean:  ## remove what runs and tests have left
	rm -rf logs datasets/synthetic datasets/small datasets/videos datasets/tables .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info
