"""Type commands at a server, as a user would, and see what came of them.

Read next: test_cli_pipelines.py.
"""

from __future__ import annotations

import io
from pathlib import Path

from pachlet.cli import main
from pachlet.cli.session import Session


class Typed:
    """What came of a command."""

    def __init__(self, environ: dict[str, str], words: tuple[str, ...], given: str) -> None:
        out, err = io.StringIO(), io.StringIO()
        self.status = main.run(Session(environ, out=out, err=err, input=io.BytesIO(given.encode())), words)
        self.out, self.err = out.getvalue(), err.getvalue()


class Terminal:
    """Where commands are typed at one server, with a configuration of its own."""

    def __init__(self, address: str, folder: Path) -> None:
        self._environ = {"PACHD_ADDRESS": address, "PACH_CONFIG": str(folder / "config.json")}

    def run(self, *words: str, given: str = "") -> Typed:
        """Type a command; `given` is its standard input."""
        return Typed(self._environ, words, given)

    def ok(self, *words: str, given: str = "") -> Typed:
        """Type a command that must work."""
        done = self.run(*words, given=given)
        assert done.status == 0, done.err
        return done
