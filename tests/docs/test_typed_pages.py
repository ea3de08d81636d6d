"""Every command of the pages in docs/ runs in a copy of the repository, or the page says why it is not typed.

Each page has a server of its own, at the address that it knows as 127.0.0.1:30650.

Read next: pages.py, test_how_to.py.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.copies import ROOT
from tests.docs.pages import parts, typist

DOCS = ROOT / "docs"
SECONDS = 300.0
SERVER = """<!-- set up:
export PATH=$PWD/.venv/bin:$PATH
pachlet serve --data-dir page-data --port 30650 > page.log 2>&1 &
pachctl connect 127.0.0.1:30650
-->
"""
TYPED = [
    page
    for page in sorted(DOCS.glob("*.md"))
    if any(part.kind == "console" and not part.why for part in parts(page.read_text()))
]
EVERY = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


@pytest.mark.parametrize("page", TYPED, ids=lambda path: path.stem)
def test_every_command_of_a_page_prints_what_it_shows(page: Path, clone: Path) -> None:
    with typist(clone, SECONDS) as reader:
        reader.type(SERVER)
        reader.type(page.read_text())
    assert reader.typed


@pytest.mark.parametrize("page", EVERY, ids=lambda path: path.name)
def test_commands_stand_where_they_are_typed(page: Path) -> None:
    """They are in blocks that are marked `console`; one that is not typed names the test that does it, or a need."""
    for part in parts(page.read_text()):
        assert part.kind in ("console", "json", "python", "set up", "text"), part.kind
        assert part.kind != "console" or part.block.startswith("$ "), part.block
        assert part.kind == "console" or not part.why, part.block
        for test in re.findall(r"tests/[\w/.]+", part.why):
            assert (ROOT / test).exists(), test


def test_mark_is_that_of_the_block_below_it() -> None:
    for page in EVERY:
        text = page.read_text()
        marks = len(re.findall("<!-- (?:not typed|set up):", text))
        assert marks == sum(bool(part.why) or part.kind == "set up" for part in parts(text)), page.name
