"""A session with streams of its own, for tests of the command line that need no server."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from pachlet.cli.session import Session


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def session(tmp_path: Path) -> Session:
    environ = {"PACH_CONFIG": str(tmp_path / "config.json"), "PACHD_ADDRESS": "127.0.0.1:1"}
    return Session(environ, out=io.StringIO(), err=io.StringIO(), input=io.BytesIO())


@pytest.fixture
def terminal(tmp_path: Path) -> Session:
    environ = {"PACH_CONFIG": str(tmp_path / "config.json")}
    return Session(environ, out=Terminal(), err=Terminal(), input=io.BytesIO())
