"""What the verbs print, against a real server: columns, cells and words are pachctl 2.12's.

cli_output.txt (PFS) and cli_pipelines.txt (PPS) are sessions, as one would type them. Ids, times and addresses
differ from run to run, so they stand there as letters (`AAAA...` is the first id to appear), as
`2026-01-01T00:00:00Z`, `AGO`, `TIME`, `USER@HOST` and `HOST:PORT`. To make the files anew after a change that is meant:
`python -m tests.golden.test_cli_output`, then read the difference.
"""

from __future__ import annotations

import io
import platform
import re
import shlex
import string
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pachlet import testing
from pachlet.cli import main
from pachlet.cli.session import Session
from pachlet.client.authorship import author

TRANSCRIPTS = [Path(__file__).parent / name for name in ("cli_output.txt", "cli_pipelines.txt")]
_PROMPT = "$ "
_LETTERS = string.ascii_uppercase + "GHIJKLMNOPQRSTUVWXYZ".lower()  # none that may be a digit of an id


class Shell:
    """Types commands at one server and hides in their output what differs from run to run."""

    def __init__(self, address: str, folder: Path) -> None:
        self._address = address
        self._environ = {"PACHD_ADDRESS": address, "PACH_CONFIG": str(folder / "config.json")}
        self._ids: dict[str, str] = {}
        self._real: dict[str, str] = {}

    def type(self, line: str) -> str:
        """Run `pachctl WORDS [<<< INPUT]`; return what it printed, and its status if that is not 0."""
        command, _, given = line.partition(" <<< ")
        words = [self._with_ids(word) for word in shlex.split(command)[1:]]
        out, err = io.StringIO(), io.StringIO()
        given = given.replace("HOST:PORT", self._address)
        session = Session(self._environ, out=out, err=err, input=io.BytesIO(given.encode()))
        status = main.run(session, words)
        end = f"(status {status})\n" if status else ""
        return self._hidden(f"{out.getvalue()}{err.getvalue()}") + end

    def _with_ids(self, word: str) -> str:
        for letters, identifier in self._real.items():
            word = word.replace(letters, identifier)
        return word.replace("HOST:PORT", self._address)

    def _hidden(self, text: str) -> str:
        text = re.sub(r"\b[0-9a-f]{32}\b", lambda found: self._letters(found[0]), text)
        text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "2026-01-01T00:00:00Z", text)
        text = re.sub(r"(Less than a second|\d+ seconds?|About a minute) ago *", "AGO ", text)
        text = re.sub(r"(Less than a second|\b\d+ seconds?|About a minute) *$", "TIME", text, flags=re.M)
        text = re.sub(r"(Less than a second|\b\d+ seconds?|About a minute) *", "TIME ", text)
        text = re.sub(r"(this machine's own programs) \(.*\),", r"\1 (SYSTEM),", text)
        text = re.sub(r"\b\d+\.\d{3}s\b", "0.000s", text)
        text = re.sub(r"^(runner|limits)( +).*$", r"\1\2AS HERE", text, flags=re.M)  # as this machine has it
        text = re.sub(rf"{re.escape(author())} *", "USER@HOST ", text)
        text = text.replace(f"Source: {platform.node()}:", "Source: HOST:")
        text = re.sub(r"(Image: .*@sha256:)[0-9a-f]{64}", r"\1DIGEST", text)
        text = re.sub(r"CREATOR {2,}", "CREATOR ", text)
        text = re.sub(r"(CREATED|FINISHED|STARTED|DURATION) {2,}", r"\1 ", text)  # as wide as the times below
        text = text.replace(self._address, "HOST:PORT")
        # Said only where the machine is busy.
        text = re.sub(r"^waiting for HOST:PORT, .*\n", "", text, flags=re.M)
        return "".join(f"{line.rstrip()}\n" for line in text.splitlines())

    def _letters(self, identifier: str) -> str:
        if identifier not in self._ids:
            letters = _LETTERS[len(self._ids)] * len(identifier)
            self._ids[identifier] = letters
            self._real[letters] = identifier
        return self._ids[identifier]


def typed(commands: list[str]) -> Iterator[str]:
    """Type commands at a fresh server; yield each with what it printed."""
    with (
        tempfile.TemporaryDirectory() as name,
        testing.server(Path(name, "data"), code=Path(name)) as running,
    ):
        shell = Shell(running.address, Path(name))
        for command in commands:
            yield f"{_PROMPT}{command}\n{shell.type(command)}"


def commands_of(transcript: str) -> list[str]:
    """Return the commands of a transcript."""
    return [line.removeprefix(_PROMPT) for line in transcript.splitlines() if line.startswith(_PROMPT)]


@pytest.mark.parametrize("transcript", TRANSCRIPTS, ids=lambda path: path.stem)
def test_output_is_pachctls(transcript: Path) -> None:
    expected = transcript.read_text()
    assert "".join(typed(commands_of(expected))) == expected


if __name__ == "__main__":
    for each in TRANSCRIPTS:
        each.write_text("".join(typed(commands_of(each.read_text()))))
