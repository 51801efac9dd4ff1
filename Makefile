# Environments: .venv holds the base package (prediction), .venv-dev every extra (building, training, tests),
# .venv-oldest the base package with the oldest versions that it allows, .venv-oldest-extras the extras with theirs.
# make PYTHON=python3.12 ... picks another interpreter; DATA and WORK pick other folders.

PYTHON ?= python3
DATA ?= ../shared/data
WORK ?= work
RECIPE ?= recipes/small.toml
# Scenes that are measured: those of research/student where they are built, else those of make train-small.
SCENES ?= $(if $(wildcard $(WORK)/student/scenes),$(WORK)/student/scenes,$(WORK)/scenes)
CASES ?= 200000
# CI installs the versions that it names; everybody else gets the newest that the bounds allow.
PIP_FLAGS ?= $(if $(CI),-c constraints/ci.txt)

BASE := .venv/installed
DEV := .venv-dev/installed
OLDEST := .venv-oldest/installed
OLDEST_EXTRAS := .venv-oldest-extras/installed
TOOLS := .venv-tools/installed
BIN := .venv-dev/bin

.PHONY: help predict test test-quick test-oldest test-oldest-extras lint types docs web train-small evaluate tables \
	check-tables table-claims \
	table-baselines pictures table-kills table-load table-determinism table-rig table-captures table-scale \
	table-size bench fuzz licences sbom audit dist try-dist wheels clean
.DELETE_ON_ERROR:

help:
	@echo "make predict      install the base package and estimate depth and defocus of a photo"
	@echo "make test         install everything and run the tests"
	@echo "make test-quick   run the tests that take no more than a few seconds each, on all cores"
	@echo "make test-oldest  run the tests of the base package with the oldest versions that it allows"
	@echo "make test-oldest-extras  the same for the extras, except demo, ray and docs; installs PyTorch"
	@echo "make lint types   check the code with ruff and mypy"
	@echo "make docs         build the documentation into $(WORK)/site; a warning is an error"
	@echo "make web          gather the page that runs in the browser alone into $(WORK)/web; needs npm"
	@echo "make train-small  build the training scenes of $(DATA), train recipes/small.toml and export the model"
	@echo "make evaluate     measure the shipped model on the locations of $(DATA) that were kept out of training"
	@echo "make tables       regenerate every table of the shipped model in docs/results, and the numbers in README and docs;"
	@echo "                  one table: $(BIN)/python -m benchmarks NAME"
	@echo "make check-tables make tables, and compare them with the committed ones"
	@echo "make pictures     draw the pictures of README and docs with the shipped model"
	@echo "make table-NAME   regenerate docs/results/NAME.md; NAME is one of:"
	@echo "                    baselines           the other methods of README, on the same photos"
	@echo "                    rig captures        the builders on the simulated rig and on real focal stacks"
	@echo "                    kills load determinism   the guarantees of docs/reliability.md"
	@echo "                    size                the base install, package by package"
	@echo "                    scale               100,000 samples: an hour and a half, 20 GB"
	@echo "                    claims              the study of docs/claims.md: many hours, resumable"
	@echo "make bench        measure speed and compare it with other networks, on an otherwise idle machine"
	@echo "make fuzz         give every reader damaged input, CASES=200000 of them; resumable"
	@echo "make licences     list every package by extra with its licence, in docs/licences.md"
	@echo "make sbom audit   write bills of materials into $(WORK)/sbom; check the installed packages for known vulnerabilities"
	@echo "make dist         build the wheel and the sdist into dist, and check what they hold"
	@echo "make try-dist     install the wheel into a clean environment, and predict a photo with it"
	@echo "make wheels       check that the base install has wheels for PYTHONS=3.11 3.12 3.13 3.14; downloads them"
	@echo "make clean        delete the environments; $(WORK) stays"

# The base package must not need what scikit-image depends on: only its photo is used, so it comes without them.
$(BASE): pyproject.toml
	$(PYTHON) -m venv --clear .venv
	.venv/bin/python -m pip install --quiet -e .
	.venv/bin/python -m pip install --quiet --no-deps scikit-image
	touch $@

$(DEV): pyproject.toml constraints/ci.txt
	$(PYTHON) -m venv --clear .venv-dev
	.venv-dev/bin/python -m pip install --quiet $(PIP_FLAGS) -e ".[dev]"
	touch $@

$(OLDEST): pyproject.toml constraints/oldest.txt
	$(PYTHON) -m venv --clear .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet -c constraints/oldest.txt -e . pytest hypothesis onnx
	touch $@

$(OLDEST_EXTRAS): pyproject.toml constraints/oldest.txt constraints/oldest-extras.txt
	$(PYTHON) -m venv --clear .venv-oldest-extras
	.venv-oldest-extras/bin/python -m pip install --quiet -c constraints/oldest.txt -c constraints/oldest-extras.txt \
		-e ".[train,formats,datasets,baselines,report]" pytest hypothesis scikit-image
	touch $@

# "Chelsea" by Stefan van der Walt, CC0, from the scikit-image wheel.
$(WORK)/photos/chelsea.png: $(BASE)
	mkdir -p $(@D)
	cp "$$(find .venv -path '*/skimage/data/chelsea.png')" $@

predict: $(WORK)/photos/chelsea.png
	.venv/bin/mddnet predict $< -o $(WORK)/predicted
	@echo "The photo is $<, the maps are in $(WORK)/predicted:"
	@ls $(WORK)/predicted

test: test-quick
	$(BIN)/python -m pytest -m slow

test-quick: $(DEV)
	$(BIN)/python -m pytest -m "not slow" -n auto

test-oldest: $(OLDEST)
	.venv-oldest/bin/python -m pytest tests/test_*.py tests/photo/test_photo.py tests/photo/test_lens_facts.py \
		tests/predict tests/evaluate tests/cli tests/scenes/test_store.py tests/model/test_archive.py

test-oldest-extras: $(OLDEST_EXTRAS)
	.venv-oldest-extras/bin/python -m pytest -m "not slow" tests/captures tests/data tests/export tests/focus_stack tests/loss \
		tests/model tests/photo tests/scenes tests/train tests/evaluate

lint: $(DEV)
	$(BIN)/python -m ruff check .

types: $(DEV)
	$(BIN)/python -m mypy

docs: $(DEV)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --site-dir $(abspath $(WORK))/site

# make docs after it makes the page a part of the site.
web: $(BASE)
	cd web && npm install --ignore-scripts --no-package-lock --no-audit --no-fund
	.venv/bin/python -m web.gather -o $(WORK)/web

TRAIN = $(BIN)/mddnet train --set data.scenes=$(WORK)/scenes --set data.split=$(DATA)/split.csv

# build ends with 1 where a capture gave no scene: $(WORK)/scenes/rejected.csv says why, and the others are trained on.
train-small: $(DEV)
	$(BIN)/mddnet build $(DATA) -o $(WORK)/scenes -j 2 || { test $$? -eq 1 && test -f $(WORK)/scenes/build.csv; }
	$(TRAIN) $(RECIPE) --set train.out=$(WORK)/run
	$(BIN)/mddnet export $(WORK)/run/model -o $(WORK)/model

evaluate: $(DEV)
	$(BIN)/mddnet evaluate --scenes $(SCENES) --data $(DATA) -o $(WORK)/evaluation

# PyDNet++ is measured, too, where its weights are in PYDNET; its runtime: .venv-dev/bin/pip install ai-edge-litert.
PYDNET = $(DATA)/../peers/pydnet_plus_plus.tflite

# Everything that the shipped model's weights decide. Pictures of captures stay in $(WORK): only numbers go into
# docs/results. One page: make evaluate, or python -m benchmarks NAME.
tables: $(DEV)
	$(BIN)/mddnet evaluate --speed --scenes $(SCENES) --data $(DATA) -o $(WORK)/evaluation
	cp $(WORK)/evaluation/evaluation.json $(WORK)/evaluation/evaluation.md docs/results/small/
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks all --scenes $(SCENES) --data $(DATA) --work $(WORK) \
		$(if $(wildcard $(PYDNET)),--priors "PyDNet++=$(PYDNET)")
	$(BIN)/python benchmarks/fill_tables.py

# The committed tables and those that this machine makes of the shipped weights, within the tolerance of
# benchmarks/compare_tables.py; ends with 1 where they differ.
check-tables: $(DEV)
	rm -rf $(WORK)/committed && mkdir -p $(WORK)/committed
	git archive HEAD docs/results | tar -x -C $(WORK)/committed
	$(MAKE) tables
	$(BIN)/python -m benchmarks.compare_tables $(WORK)/committed/docs/results docs/results

# Not of the weights: once is enough.
table-baselines: $(DEV)
	$(BIN)/python -m benchmarks.baselines --scenes $(SCENES) --data $(DATA) --pydnet $(PYDNET)
	$(BIN)/python benchmarks/fill_tables.py

pictures: $(DEV)
	$(BIN)/python docs/figures/gallery.py
	$(BIN)/python docs/figures/depth_from_blur.py

# Both go on where they stopped. Programs to compare with (focus-stack, enfuse) are taken where they are installed.
table-rig: $(DEV)
	$(BIN)/python -m benchmarks.rig_table --data $(DATA) --work $(WORK)/rig -o docs/results/rig.md

table-captures: $(DEV)
	$(BIN)/python -m benchmarks.captures_table --data $(DATA) --scenes $(WORK)/scenes --work $(WORK)/captures \
		-o docs/results/captures.md

table-scale: $(DEV)
	$(BIN)/python -m benchmarks.scale_trial --data $(DATA) --work $(WORK)/scale -o docs/results/scale.md

# Each ends with 1 where a promise of docs/reliability.md does not hold.
table-kills: $(DEV)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.reliability.kill_table --kills 100 --work $(WORK)/kills -o docs/results/kills.md

table-load: $(DEV)
	$(BIN)/python -m benchmarks.reliability.load_table -o docs/results/load.md

table-determinism: $(DEV)
	$(BIN)/python -m benchmarks.reliability.same_bytes --data $(DATA) -o docs/results/determinism.md

# Goes on where it stopped. PyDNet++ is measured, too, where its runtime is installed: .venv-dev/bin/pip install
# ai-edge-litert.
table-claims: $(DEV)
	$(BIN)/python -m research.claims.run --work $(WORK)/claims --scenes $(WORK)/student/scenes \
		--split $(WORK)/student/split.csv --data $(DATA) --peers $(DATA)/../peers
	$(BIN)/python -m research.claims.page --work $(WORK)/claims

# OpenVINO is measured, too, where it is installed: .venv-dev/bin/pip install openvino.
bench: $(DEV)
	$(BIN)/python benchmarks/speed.py -o docs/results/speed.md

# What was done lies in $(WORK)/fuzz, and the finds with their files.
fuzz: $(DEV)
	$(BIN)/python -m tests.support.fuzz.run --cases $(CASES) --work $(WORK)/fuzz -o docs/results/fuzz.md

licences: $(DEV)
	$(BIN)/python -m docs.site.licences -o docs/licences.md

# Tools that look at the environments from outside, in one of their own.
$(TOOLS): constraints/tools.txt
	$(PYTHON) -m venv --clear .venv-tools
	.venv-tools/bin/python -m pip install --quiet -r constraints/tools.txt
	touch $@

sbom: $(BASE) $(DEV) $(TOOLS)
	mkdir -p $(WORK)/sbom
	.venv-tools/bin/cyclonedx-py environment --pyproject pyproject.toml -o $(WORK)/sbom/base.cdx.json .venv
	.venv-tools/bin/cyclonedx-py environment --pyproject pyproject.toml -o $(WORK)/sbom/all-extras.cdx.json .venv-dev

# Needs the Internet: the versions are looked up in the advisories of PyPI.
audit: $(DEV) $(TOOLS)
	.venv-tools/bin/pip-audit --strict --path "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"

dist: $(TOOLS)
	rm -rf dist
	.venv-tools/bin/python -m build --outdir dist
	.venv-tools/bin/python -m tests.support.distribution dist

# As users have it: not editable, and run in a folder without the sources. INSTALLED=FOLDER puts it elsewhere.
INSTALLED ?= $(abspath $(WORK))/installed
try-dist: dist $(WORK)/photos/chelsea.png
	rm -rf $(INSTALLED)
	$(PYTHON) -m venv $(INSTALLED)
	$(INSTALLED)/bin/python -m pip install --quiet dist/*.whl
	cp $(WORK)/photos/chelsea.png $(INSTALLED)
	cd $(INSTALLED) && env -u PYTHONPATH bin/mddnet predict chelsea.png -o out
	test -f $(INSTALLED)/out/chelsea.preview.png

table-size: try-dist
	PYTHONPATH=src .venv/bin/python -m benchmarks.install_size $(INSTALLED) -o docs/results/install-size.md

# Needs the Internet. Nothing is installed or built: a package without a wheel ends it.
PYTHONS ?= 3.11 3.12 3.13 3.14
wheels: dist
	for version in $(PYTHONS); do \
		$(PYTHON) -m pip download --quiet --only-binary=:all: --python-version $$version -d $(WORK)/wheels/$$version \
			dist/*.whl || exit 1; \
	done

clean:
	rm -rf .venv .venv-dev .venv-oldest .venv-oldest-extras .venv-tools
