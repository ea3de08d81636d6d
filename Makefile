# The verbs of the project. `make run` and `make test` set up all they need; `make help` lists the rest.

DATA ?=
COINS ?=
PORT ?=
DATA_DIR ?= .pachlet
SCORES_DIR ?= .pachlet-scores
RUNNER ?= auto
UV_ENV = UV_COMPILE_BYTECODE=1 UV_SYSTEM_CERTS=1
BIN = .venv/bin
PYTEST = $(BIN)/pytest -n auto --dist worksteal
LINTED = pachlet steps pipelines data images crypto_ml tests benchmarks docs

.PHONY: help scores run prices verify stop notebook test check lint types soak bench docs images pin-images clean

help:  ## say what each verb does
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: .venv/ready  ## run the main job on the embedded engine; DATA=dir takes price files of your own, RUNNER=container runs steps in containers
	@$(BIN)/python -m pipelines.main_job --data-dir "$(DATA_DIR)" $(if $(PORT),--port "$(PORT)") --runner $(RUNNER) $(if $(DATA),--data "$(DATA)")

prices: .venv/ready  ## forecast real coins at the prices of a public exchange, now and then every day; COINS="BTC SOL" chooses them
	@$(BIN)/python -m pipelines.live --data-dir "$(DATA_DIR)" $(if $(PORT),--port "$(PORT)") --runner $(RUNNER) $(COINS)

verify: .venv/ready  ## make the newest results of the pipelines of `make run` once more, and compare every file with what is stored
	@$(BIN)/python -m pipelines.verify --data-dir "$(DATA_DIR)" $(if $(PORT),--port "$(PORT)") --runner $(RUNNER)

scores: .venv/ready  ## run the evaluation on real data, DATA=dir, and hold it against its goals; DEEP=1 makes all of it again to see that it is the same
	@$(BIN)/python -m pipelines.scores --data-dir "$(SCORES_DIR)" --runner $(RUNNER) $(if $(DATA),--data "$(DATA)") $(if $(DEEP),--deep)

stop: .venv/ready  ## stop the server that `make run` left running, and that of `make scores`
	@$(BIN)/pachlet stop --data-dir "$(DATA_DIR)"
	@if [ -d "$(SCORES_DIR)" ]; then $(BIN)/pachlet stop --data-dir "$(SCORES_DIR)"; fi

notebook: .venvs/ready  ## execute notebooks/crypto.ipynb on the server that pachctl is connected to; the result lies in DATA_DIR/output
	@.venvs/crypto_ml/bin/python -m crypto_ml.notebook notebooks/crypto.ipynb "$(DATA_DIR)/output/crypto.ipynb"

test: .venv/ready .venvs/ready  ## the whole suite
	$(PYTEST)

check: lint types test  ## what CI runs

lint: .venv/ready  ## style, imports between rooms, and whether the committed schema is that of its sources
	$(BIN)/ruff check $(LINTED)
	$(BIN)/ruff format --check $(LINTED)
	$(BIN)/lint-imports
	$(BIN)/python -m pachlet.wire.compile_schema --check

types: .venv/ready  ## strict types in the engine
	$(BIN)/mypy

soak: .venv/ready .venvs/ready  ## long kills, load and fuzzing
	$(PYTEST) -m soak
	$(PYTEST) --hypothesis-profile=soak tests/properties

bench: .venv/ready .venvs/ready  ## all benchmarks, each beside its peer or limit and with its targets; DATA=dir for real prices, CELERY=python with celery[redis] to have it beside us, on RabbitMQ and redis where they are installed, LONG=1 with a file of 10 GiB (40 GiB of disk)
	$(BIN)/python -m benchmarks.pfs
	$(if $(LONG),$(BIN)/python -m benchmarks.put_get --mib 10240 --rounds 1 --peer-rounds 0)
	$(BIN)/python -m benchmarks.incremental
	$(BIN)/python -m benchmarks.latency
	$(BIN)/python -m benchmarks.obstacles
	$(BIN)/python -m benchmarks.listing_pps
	$(BIN)/python -m benchmarks.many_pipelines
	$(BIN)/python -m benchmarks.trace
	$(BIN)/python -m benchmarks.verify
	$(BIN)/python -m benchmarks.runners
	$(BIN)/python -m benchmarks.forecasts $(if $(DATA),--data "$(DATA)") $(if $(CELERY),--celery "$(CELERY)")
	$(BIN)/python -m benchmarks.main_job $(if $(DATA),--data "$(DATA)")

docs: .venv/ready  ## make the pages that are made from the code
	$(BIN)/python -m docs.pages

images: .venv/ready  ## build every image with Docker or Podman; ARGS=--debian-base where no registry is reached
	$(BIN)/python -m images.build $(ARGS)

pin-images: .venv/ready  ## pin the bases of the images by the digest that their registry has now; says so where none answers
	@$(BIN)/python -m images.pin

clean: stop  ## remove the servers' data and our environments
	rm -rf "$(DATA_DIR)" "$(SCORES_DIR)" .venv .venvs .tools

# The server's environment: Python 3.12 if there is one, else 3.11 or 3.13.
.venv/ready: pyproject.toml uv.lock .ci/setup
	@$(UV_ENV) .ci/setup server

# Pachyderm's two clients exclude each other and us, so each has an environment of its own, and so has what is built
# on one of them (crypto_ml).
.venvs/ready: tests/clients/python-pachyderm.txt tests/clients/pachyderm-sdk.txt crypto_ml/crypto_ml.txt .venv/ready
	@$(UV_ENV) .ci/setup clients
