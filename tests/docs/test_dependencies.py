"""Every dependency is on its page, with the licence that the installed package states."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "dependencies.md").read_text()
STATED = dict(re.findall(r"^\| `([\w-]+)` \| ([^|]+) \|", PAGE, re.M))


def named(requirements: list[str]) -> Iterator[str]:
    """Yield the names of requirements, leaving out options and comments."""
    for line in requirements:
        if found := re.match(r"[A-Za-z][\w-]*", line):
            yield found[0].lower()


def declared() -> set[str]:
    """Return what the project and its images ask for by name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lists = [project["project"]["dependencies"], project["build-system"]["requires"]]
    lists += [*project["dependency-groups"].values(), *project["project"]["optional-dependencies"].values()]
    sources = [
        *ROOT.glob("images/*/requirements.in"),
        *ROOT.glob("tests/clients/*.in"),
        *ROOT.glob("crypto_ml/*.in"),
    ]
    lists += [path.read_text().splitlines() for path in sources]
    return {name for each in lists for name in named(each)}


def test_page_names_every_dependency_and_no_other() -> None:
    assert set(STATED) == declared()


def words(licence: str) -> set[str]:
    """Return what tells licences apart, however they are written: `BSD 3-Clause License` is `BSD-3-Clause`."""
    found = re.findall(r"apache|mit\b|bsd|3-clause|2-clause|mpl|cc0|psf|python software", licence.lower())
    return {"psf" if each == "python software" else each for each in found}


@pytest.mark.parametrize("name", sorted(STATED))
def test_licence_is_the_one_that_the_package_states(name: str) -> None:
    try:
        package = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        pytest.skip(f"{name} is not in this environment")
    stated = [package.get("License-Expression") or "", (package.get("License") or "")[:80]]
    stated += [each for each in package.get_all("Classifier", []) if each.startswith("License")]
    assert words(STATED[name]) <= words(" ".join(stated)), stated
