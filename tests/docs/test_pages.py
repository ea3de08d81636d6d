"""The pages that are made from the code are those of this code; the one about crypto is about these pipelines."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from docs.errors_page import classes
from docs.pages import PAGES
from pachlet import errors

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"


@pytest.mark.parametrize("name", PAGES)
def test_page_is_that_of_the_code(name: str) -> None:
    assert (DOCS / name).read_text() == PAGES[name](), f"docs/{name} is not current; run `make docs`"


def test_every_error_is_on_its_page() -> None:
    page = (DOCS / "errors.md").read_text()
    named = set(re.findall(r"^\| `(\w+)`", page, re.M))
    assert named == {each.__name__ for each in classes()}
    assert {"NotFound", "Usage"} <= named
    assert all(getattr(errors, name).__doc__ for name in named)


def rows(page: Path) -> dict[str, str]:
    """Return the rows of a page's tables by their first cell."""
    return {match[1]: match[0] for match in re.finditer(r"^\| ([\w][\w-]*) \|.*$", page.read_text(), re.M)}


def leaves(spec: Any) -> list[tuple[str, str]]:
    """Return repo and glob of each input of a spec."""
    if isinstance(spec, list):
        return [leaf for each in spec for leaf in leaves(each)]
    if "cron" in spec:
        return []
    if "pfs" in spec:
        return [(spec["pfs"]["repo"], spec["pfs"]["glob"])]
    return [leaf for each in spec.values() for leaf in leaves(each)]


PLACES = {
    "crypto-experiment": "tutorials/experiments.md",
    "iris-experiment": "tutorials/iris-experiment.md",
    "tutorial": "tutorials/shapes.md",
}
"""Where a project's pipelines are described, if not on the page of the main job's."""


@pytest.mark.parametrize(
    "path", sorted((ROOT / "pipelines").glob("*/*.json")), ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_pipeline_is_described_with_its_inputs(path: Path) -> None:
    spec = json.loads(path.read_text())
    row = rows(DOCS / PLACES.get(path.parent.name, "crypto.md"))[spec["pipeline"]["name"]]
    for repo, glob in leaves(spec["input"]):
        assert f"`{repo}:{glob}`" in row


@pytest.mark.parametrize("page", ["crypto.md", *PLACES.values()])
def test_no_pipeline_is_described_that_is_not_there(page: str) -> None:
    specs = (ROOT / "pipelines").glob("*/*.json")
    there = {path.stem for path in specs if PLACES.get(path.parent.name, "crypto.md") == page}
    assert set(rows(DOCS / page)) - {"pipeline"} == there
