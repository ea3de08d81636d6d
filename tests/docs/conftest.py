"""A copy of the repository for the commands of a document.

Read next: copies.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.copies import ROOT, copy_repository, stop_servers


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Path]:
    """A copy of the repository; the servers on data directories in it are stopped at the end."""
    if not (ROOT / ".venv" / "ready").exists():
        pytest.skip("the environment in .venv was not made by `make`, so `make run` would make one")
    folder = tmp_path / "clone"
    copy_repository(folder)
    yield folder
    stop_servers(folder)
