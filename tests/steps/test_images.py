"""Every stage has an image of its own that holds its code, its code alone, and pinned libraries.

An image with too little fails when it runs; one with too much reruns a stage whose code did not change.

Read next: ../../images/base-frames/Dockerfile, ../../pachlet/worker/images.py (who reads them).
"""

from __future__ import annotations

import ast
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from pachlet.wire.schema import message
from pachlet.worker.images import read_recipe

ROOT = Path(__file__).parents[2]
SPECS = sorted((ROOT / "pipelines").rglob("*.json"))
IMAGES = sorted(path.parent for path in (ROOT / "images").glob("*/Dockerfile"))
STAGES = [image for image in IMAGES if not image.name.startswith("base-")]
LOCKS = sorted((ROOT / "images").glob("*/requirements.txt"))

# Where the name that is imported is not the name that is installed.
DISTRIBUTIONS = {"sklearn": "scikit-learn", "grpc": "grpcio", "tensorflow": "tensorflow-cpu"}

specs = pytest.mark.parametrize("spec", SPECS, ids=lambda path: f"{path.parent.name}/{path.stem}")
stages = pytest.mark.parametrize("image", STAGES, ids=lambda path: path.name)
locks = pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.parent.name)


def read_spec(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))


def module_of(spec: dict[str, Any]) -> str:
    python, flag, module = spec["transform"]["cmd"]
    assert (python, flag) == ("python", "-m")
    return str(module)


def imports_of(path: Path) -> set[str]:
    """Name every module that a file imports, `from a.b import c` as a.b and as a.b.c."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            found |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def closure(module: str) -> tuple[set[str], set[str]]:
    """Follow a module's imports: the files of ours that it needs, and the names of everything else."""
    files: set[str] = set()
    others: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        file = f"{name.replace('.', '/')}.py"
        if not (ROOT / file).is_file():
            others |= {name.split(".")[0]} - {"steps", "pachlet"}
        elif file not in files:
            files.add(file)
            # The helper is part of every image; what it needs for batching is checked on its own.
            waiting += imports_of(ROOT / file) if name != "pachlet.step" else []
    return files, others - sys.stdlib_module_names


def spec_of(image: Path) -> dict[str, Any]:
    found = [
        read_spec(path) for path in SPECS if read_spec(path)["transform"]["image"] == f"pachlet/{image.name}"
    ]
    assert found, f"no spec uses {image.name}"
    return found[0]


def pins_of(image: Path) -> dict[str, str]:
    """Name every distribution that an image and its bases install, with its pin."""
    recipe, sources = read_recipe(f"pachlet/{image.name}", ROOT)
    text = "\n".join(sources[path].read_text() for path in recipe.requirements)
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", text, re.MULTILINE))


@specs
def test_spec_is_strict_json_of_the_published_schema(spec: Path) -> None:
    request = json_format.ParseDict(read_spec(spec), message("pps_v2.CreatePipelineRequest")())
    assert request.pipeline.name == spec.stem
    assert request.pipeline.project.name == spec.parent.name
    assert request.description.endswith(".")


@specs
def test_spec_names_an_image_and_a_module_that_exist(spec: Path) -> None:
    read = read_spec(spec)
    assert read["transform"]["image"].removeprefix("pachlet/") in {image.name for image in STAGES}
    assert (ROOT / f"{module_of(read).replace('.', '/')}.py").is_file()


@stages
def test_image_holds_the_code_of_its_stage_and_no_more(image: Path) -> None:
    _, sources = read_recipe(f"pachlet/{image.name}", ROOT)
    needed, _ = closure(module_of(spec_of(image)))
    held = {f"/{path.relative_to(ROOT)}" for path in sources.values() if path.suffix == ".py"}
    assert held == {f"/{file}" for file in needed}
    assert {path for path in sources if path.startswith("/app/")} == {f"/app/{file}" for file in needed}


@stages
def test_image_installs_what_its_stage_imports(image: Path) -> None:
    _, others = closure(module_of(spec_of(image)))
    assert {DISTRIBUTIONS.get(name, name) for name in others} <= pins_of(image).keys()


@stages
def test_batching_is_asked_for_where_the_step_can_do_it(image: Path) -> None:
    spec = spec_of(image)
    code = (ROOT / f"{module_of(spec).replace('.', '/')}.py").read_text()
    batching = spec["transform"].get("datum_batching", False)
    assert batching == ("batching=True" in code)
    assert not batching or "grpcio" in pins_of(image)


@stages
def test_stage_image_is_thin_and_says_where_it_may_run(image: Path) -> None:
    recipe, _ = read_recipe(f"pachlet/{image.name}", ROOT)
    lines = (image / "Dockerfile").read_text().splitlines()
    assert lines[0].startswith("ARG BASE=pachlet/base-")
    assert lines[1] == "FROM ${BASE}"
    assert (recipe.env["PFS_ROOT"], recipe.working_dir, recipe.python) == ("/pfs", "/app", "3.11")
    assert any(line.startswith("RUN ") for line in lines) == (image / "requirements.txt").exists()


@locks
def test_every_requirement_is_pinned_with_hashes(lock: Path) -> None:
    text = lock.read_text()
    requirements = [
        line for line in text.replace("\\\n", " ").splitlines() if line and not line.lstrip().startswith("#")
    ]
    assert requirements
    for requirement in requirements:
        assert re.match(r"[a-z0-9][a-z0-9._-]*==\S+ .*--hash=sha256:[0-9a-f]{64}", requirement), requirement
    assert "://" not in text
    assert not re.search(r"(?:^|\s)/\w", text), "a machine's path"


@locks
def test_lock_holds_all_that_was_asked_for(lock: Path) -> None:
    asked = lock.with_name("requirements.in").read_text()
    names = set(re.findall(r"^([a-z][a-z0-9-]*)", asked, re.MULTILINE))
    locked = set(re.findall(r"^([a-z0-9._-]+)==", lock.read_text(), re.MULTILINE))
    assert names <= locked


@pytest.mark.parametrize(
    "image", [i for i in IMAGES if (i / "requirements.txt").exists()], ids=lambda path: path.name
)
def test_image_and_its_bases_agree_on_every_pin(image: Path) -> None:
    recipe, sources = read_recipe(f"pachlet/{image.name}", ROOT)
    pins: dict[tuple[str, str], set[str]] = {}
    for path in recipe.requirements:
        for name, version, marker in re.findall(
            r"^([\w.-]+)==(\S+)(.*?)\\?$", sources[path].read_text(), re.MULTILINE
        ):
            pins.setdefault((name, marker.strip()), set()).add(version)
    assert {name: versions for name, versions in pins.items() if len(versions) > 1} == {}
