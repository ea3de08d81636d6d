"""Every command of every tutorial runs, in a copy of the repository, and prints what the tutorial shows.

Read next: pages.py, test_readme.py.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.copies import ROOT
from tests.docs.pages import parts, typist

TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
SECONDS = 540.0


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda path: path.stem)
def test_every_command_of_a_tutorial_prints_what_it_shows(page: Path, clone: Path) -> None:
    with typist(clone, SECONDS) as reader:
        reader.type(page.read_text())
    assert reader.typed > 5
    for picture in re.findall(r"!\[[^]]*\]\(([^)]+\.svg)\)", page.read_text()):
        drawn = (clone / page.relative_to(ROOT)).parent / picture
        assert drawn.read_bytes() == (page.parent / picture).read_bytes(), f"{picture} is not what is drawn"


def test_files_of_tutorials_are_named() -> None:
    for page in TUTORIALS:
        nameless = [
            each.kind
            for each in parts(page.read_text())
            if not each.name and each.kind not in ("console", "set up")
        ]
        assert not nameless, page.name
