"""No verb is silent while its server lets it wait: each call of the golden sessions is held until something is said.

Read next: pachlet/cli/progress.py, tests/golden/test_cli_output.py (the sessions).
"""

from __future__ import annotations

import io
import shlex
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from pachlet import testing
from pachlet.api import handlers
from pachlet.cli import main
from pachlet.cli.progress import Progress
from pachlet.cli.session import Session
from tests.golden.test_cli_output import TRANSCRIPTS, Shell, commands_of

LONG = 20.0  # seconds; nobody is patient for so long


class Heard(io.StringIO):
    """The stderr of a command, and who waits for it to say something."""

    def __init__(self) -> None:
        super().__init__()
        self._said = threading.Condition()
        self._count = self._before = 0
        self.held: set[str] = set()
        self.silent: list[str] = []

    def write(self, text: str) -> int:
        with self._said:
            self._count += 1
            self._said.notify_all()
        return super().write(text)

    def call(self) -> None:
        """A call begins: what is said from now on is of it, also if the server has not seen it yet."""
        with self._said:
            self._before = self._count

    def hold(self, name: str) -> None:
        """Wait until something is said; once for each method, as what is said may have to be asked for."""
        with self._said:
            before, is_new = self._before, name not in self.held
            self.held.add(name)
            if is_new and not self._said.wait_for(lambda: self._count > before, LONG):
                self.silent.append(name)


class Calling(Progress):
    """A display that notes when a call begins."""

    def __init__(self, heard: Heard) -> None:
        super().__init__(heard, live=False, patience=0.005)
        self._heard = heard

    def calling(self, server: str) -> AbstractContextManager[None]:
        """Note it, and show what any display does."""
        self._heard.call()
        return super().calling(server)


class Impatient(Shell):
    """Types commands whose display says after a moment what it else says after two seconds."""

    heard: Heard | None = None

    def type(self, line: str) -> str:
        command, _, given = line.partition(" <<< ")
        words = [self._with_ids(word) for word in shlex.split(command)[1:]]
        out, self.heard = io.StringIO(), Heard()
        session = Session(self._environ, out=out, err=self.heard, input=io.BytesIO(given.encode()))
        session.__dict__["progress"] = Calling(self.heard)
        main.run(session, words)
        heard, self.heard = self.heard, None
        self._hidden(out.getvalue())  # ids get their letters
        assert not heard.silent, f"{line} said nothing while it waited for {heard.silent}"
        return " ".join(sorted(heard.held))


@pytest.mark.parametrize("transcript", TRANSCRIPTS, ids=lambda path: path.stem)
def test_whoever_waits_is_told(transcript: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shell: Impatient | None = None

    def holding(make: Callable[..., Any]) -> Callable[..., Any]:
        def made(name: str, answer: Any, admitted: Callable[[], AbstractContextManager[None]]) -> Any:
            @contextmanager
            def held() -> Iterator[None]:
                if shell is not None and shell.heard is not None:
                    shell.heard.hold(name)
                with admitted():
                    yield

            return make(name, answer, held)

        return made

    for name in ("_single", "_streaming"):
        monkeypatch.setattr(handlers, name, holding(getattr(handlers, name)))
    with testing.server(tmp_path / "data", code=tmp_path) as running:
        shell = Impatient(running.address, tmp_path)
        held = {name for line in commands_of(transcript.read_text()) for name in shell.type(line).split()}
    assert len(held) > 25
