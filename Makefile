# The verbs of the project. `make run` and `make test` set up all they need; `make help` lists the rest.

DATA ?=
PORT ?= 30650
DATA_DIR ?= .pachlet
RUNNER ?= auto
UV_ENV = UV_COMPILE_BYTECODE=1 UV_SYSTEM_CERTS=1
BIN = .venv/bin
PYTEST = $(BIN)/pytest -n auto --dist worksteal
LINTED = pachlet steps pipelines data images tests benchmarks docs

.PHONY: help run verify stop test check lint types soak bench docs images clean

help:  ## say what each verb does
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: .venv/ready  ## run the main job on the embedded engine; DATA=dir takes price files of your own, RUNNER=container runs steps in containers
	@$(BIN)/python -m pipelines.main_job --data-dir "$(DATA_DIR)" --port $(PORT) --runner $(RUNNER) $(if $(DATA),--data "$(DATA)")

verify: .venv/ready  ## run all that `make run` made once more, and compare every file with what is stored
	@$(BIN)/python -m pipelines.verify --data-dir "$(DATA_DIR)" --port $(PORT) --runner $(RUNNER)

stop: .venv/ready  ## stop the server that `make run` left running
	@$(BIN)/pachlet stop --data-dir "$(DATA_DIR)"

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

bench: .venv/ready .venvs/ready  ## one large file, many small ones, growth, upkeep, the start of commands, an incremental pipeline, how soon new data starts a step, many pipelines, lineage, the main job; DATA=dir for real prices, LONG=1 with a file of 10 GiB (40 GiB of disk)
	$(BIN)/python -m benchmarks.put_get
	$(BIN)/python -m benchmarks.small_files
	$(BIN)/python -m benchmarks.growth
	$(BIN)/python -m benchmarks.upkeep
	$(BIN)/python -m benchmarks.cli_start
	$(if $(LONG),$(BIN)/python -m benchmarks.put_get --mib 10240 --rounds 1 --peer-rounds 0)
	$(BIN)/python -m benchmarks.incremental
	$(BIN)/python -m benchmarks.latency
	$(BIN)/python -m benchmarks.listing_pps
	$(BIN)/python -m benchmarks.many_pipelines
	$(BIN)/python -m benchmarks.trace
	$(BIN)/python -m benchmarks.main_job $(if $(DATA),--data "$(DATA)")

docs: .venv/ready  ## make the pages that are made from the code
	$(BIN)/python -m docs.pages

images: .venv/ready  ## build every image with Docker or Podman; ARGS=--debian-base where no registry is reached
	$(BIN)/python -m images.build $(ARGS)

clean: stop  ## remove the server's data and our environments
	rm -rf "$(DATA_DIR)" .venv .venvs .tools

# The server's environment: Python 3.12 if there is one, else 3.11 or 3.13.
.venv/ready: pyproject.toml uv.lock .ci/setup
	@$(UV_ENV) .ci/setup server

# Pachyderm's two clients exclude each other and us, so each has an environment of its own.
.venvs/ready: tests/clients/python-pachyderm.txt tests/clients/pachyderm-sdk.txt .venv/ready
	@$(UV_ENV) .ci/setup clients
