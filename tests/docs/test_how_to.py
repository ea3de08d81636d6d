"""Every command of the how-to pages runs, all pages on one server, and prints what the page shows.

Read next: pages.py, test_tutorials.py.
"""

from __future__ import annotations

import re
from pathlib import Path

from tests.docs.copies import ROOT
from tests.docs.pages import typist

FOLDER = ROOT / "docs" / "how-to"
INDEX = (FOLDER / "README.md").read_text()
PAGES = re.findall(r"^\| \[[^]]+\]\((\w[\w-]*\.md)\)", INDEX, re.M)
SECONDS = 540.0


def test_every_command_prints_what_it_shows(clone: Path) -> None:
    before, _, after = INDEX.partition("## Afterwards")
    with typist(clone, SECONDS) as reader:
        for text in (before, *((FOLDER / page).read_text() for page in PAGES), after):
            typed = reader.typed
            reader.type(text)
            assert reader.typed > typed


def test_index_has_every_page() -> None:
    assert sorted(PAGES) == sorted(page.name for page in FOLDER.glob("*.md") if page.name != "README.md")
