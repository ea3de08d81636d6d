"""Which way imports point: the contracts in pyproject.toml hold, and what is outside of the engine keeps out of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.house.modules import ROOT, Module, modules

API = ("pachlet.cli", "pachlet.client", "pachlet.spec", "pachlet.errors", "pachlet.paths")
BUILT_ON_IT = {"steps", "pipelines", "images", "data", "docs", "benchmarks", "tests"}


def test_imports_between_rooms_are_as_agreed() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_main_job_drives_the_engine_through_its_api_only() -> None:
    engine = of_engine(Module(ROOT / "pipelines" / "main_job.py"))
    assert "pachlet.client" in engine
    assert not [name for name in engine if not name.startswith(API)]


def test_a_step_carries_nothing_of_the_engine() -> None:
    imported = {name for each in modules("steps") for name in of_engine(each)}
    assert imported == {"pachlet.step"}


def test_the_engine_imports_nothing_that_is_built_on_it() -> None:
    imported = {name.split(".")[0] for each in modules("pachlet") for name in each.imports()}
    assert "grpc" in imported
    assert not imported & BUILT_ON_IT


def of_engine(module: Module) -> set[str]:
    return {name for name in module.imports() if name.split(".")[0] == "pachlet"}
