# The front door. Each target is a line or two; the work is in scripts that can be run by themselves.
TOOLS = $(CURDIR)/.tools
UV ?= $(shell command -v uv || echo $(TOOLS)/bin/uv)
RUN = $(UV) run --frozen --all-extras
export UV_PYTHON_DOWNLOADS = never

.PHONY: setup core core-check core-age check test test-browser retest demo clients bench bench-drivers chaos test-cluster cluster-nodes cluster-others scale wheels

setup: ## Install what is missing: Debian packages (as root), uv (into .tools), the Python environment
	sh tests/setup.sh
	[ -x "$(UV)" ] || { python3 -m venv $(TOOLS) && $(TOOLS)/bin/pip install --quiet uv; }
	$(UV) sync --frozen --all-extras --quiet

# The WhatsApp core, as it is shipped and as the sandbox needs it (which trusts another root key); see its build.sh.
CORE = bridge/whatsapp-core
CORES = $(TOOLS)/core/ponton-whatsapp $(TOOLS)/core-sandbox/ponton-whatsapp

core: $(CORES) ## The WhatsApp core for this machine, into .tools (brings Go along where there is none)

$(CORES): $(wildcard $(CORE)/*.go) $(addprefix $(CORE)/,go.mod go.sum build.sh)
	sh tests/setup-go.sh && sh $(CORE)/build.sh $@ $(if $(findstring sandbox,$@),sandbox)

core-check: ## Vet, staticcheck and tests of the core's Go half, and its fuzz tests for FUZZ=5s each
	sh $(CORE)/check.sh

core-age: ## How far the pinned whatsmeow is behind its newest version; asks the Go module proxy
	sh tests/setup-go.sh && sh $(CORE)/age.sh

check: ## Lint, types, layers, Lua
	$(RUN) ruff check . && $(RUN) ruff format --check .
	$(RUN) mypy
	$(RUN) lint-imports
	cd bridge/prosody/mod_component_shards && luacheck -q .

test: core core-check ## Everything that must hold, on real servers started by the tests (18 minutes on two quiet cores)
	busted --lua=/usr/bin/lua5.4 tests/lua
	$(RUN) pytest -n 2 --dist loadfile

test-browser: ## The self-service page in Debian's Chromium; SHOTS=1 makes the pictures of docs/screenshots anew
	sh tests/setup-browser.sh
	$(RUN) pytest tests/browser

retest: ## What failed in the last run, once more and one after the other
	$(RUN) pytest --last-failed --last-failed-no-failures=none

test-cluster: ## On a Kubernetes of our own in private namespaces (as root), or on the one that KUBECONFIG names
	sh tests/setup-cluster.sh
	$(RUN) python -m tests.cluster.box build
	$(RUN) python -m tests.cluster.box image bridge operator sandbox prosody redis
	$(RUN) pytest tests/cluster/test_scale.py # alone: it measures
	$(MAKE) -j 2 --output-sync cluster-nodes cluster-others # no process has one box of each kind: at rest each costs, too

cluster-nodes: # most of them wait
	$(RUN) pytest tests/cluster -m node -n 2 --dist loadfile --durations 30

cluster-others:
	$(RUN) pytest tests/cluster -m "not node" --ignore tests/cluster/test_scale.py --durations 15

scale: ## Ten thousand accounts on fake nodes, figures into docs/figures/scale.json; as root, 47 minutes
	sh tests/setup-cluster.sh
	$(RUN) python -m tests.cluster.box build
	$(RUN) python -m tests.cluster.scale

demo: setup core ## The whole story on this machine; AUTO=1 plays it by itself, LIVE=1 uses a real phone, CLUSTER=1 runs it in pods
	[ -z "$(CLUSTER)" ] || sh tests/setup-cluster.sh
	$(RUN) python -m tests.demo

clients: ## Screenshots of Gajim, Dino and profanity talking to the gateway (names the packages that it lacks)
	$(RUN) python -m tests.clients

bench: core ## The figures that docs/ cite; 10 to 20 minutes on a quiet machine
	sh tests/setup.sh chromium
	$(RUN) python -m tests.bench

bench-drivers: core ## The WhatsApp core and neonize side by side, at the port; about 25 minutes
	$(RUN) python -m tests.bench.drivers
	$(RUN) python -m tests.bench.driver_memory
	$(RUN) python -m tests.bench.panics

chaos: core ## Kills, freezes and cuts under messages both ways, with a checked history; SEED=N chooses another one
	$(RUN) python -m tests.chaos

# What neonize's own Python client needs and no image holds (docs/adr/0002).
UNUSED = httpx linkpreview phonenumbers pillow python-magic python-magic-bin tqdm

wheels: ## What the images are built from, at the locked versions (into wheels/): see the Containerfiles
	rm -rf wheels && $(UV) build --wheel --quiet --out-dir wheels
	$(UV) export --frozen --quiet --all-extras --no-default-groups --group sandbox $(UNUSED:%=--prune %) \
	  --no-emit-project | sed 's/ ; [^\\]*/ /' > wheels/locked.txt # for every 3.11: which one is in BASE is not known here
	$(UV) run --no-project --isolated --with pip python -m pip download --quiet --no-deps --only-binary :all: --python-version 3.11 -d wheels -r wheels/locked.txt
