"""A shell that types the commands of a document and compares what they print with what the document shows.

In a block that is marked `console`, a line after `$ ` is a command and the lines below it are its output, in which
`...` stands for anything. All blocks of a document are typed into one shell, so that one command may build on
another.

Read next: test_readme.py.
"""

from __future__ import annotations

import doctest
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pachlet.cli.verbs.stop import WAITING
from tests.one_processor import one_processor

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
_STATUS = re.compile(r"# exit status (\d+)$")
# A server on a busy machine takes a while to end, and `stop` says so; no document shows that.
_WAITING = re.compile("^" + r"\d+".join(map(re.escape, WAITING.split("{}"))) + "\n", re.M)
_LENIENT = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass(frozen=True)
class Command:
    """A command of a document and what it is said to print."""

    words: str
    output: str

    @property
    def status(self) -> int:
        """The exit status that the document announces; 0 unless it says otherwise."""
        found = _STATUS.search(self.words)
        return int(found[1]) if found else 0

    def allows(self, printed: str) -> bool:
        """Tell whether something that was printed is what the document shows."""
        return doctest.OutputChecker().check_output(self.output, _WAITING.sub("", printed), _LENIENT)


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """Yield the fenced blocks of a document: the word after the fence, and what is inside."""
    for match in _BLOCK.finditer(text):
        yield match[1], match[2]


def commands(block: str) -> list[Command]:
    """Read the commands of a console block."""
    found: list[Command] = []
    for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
        words, _, output = part.partition("\n")
        found.append(Command(words, output))
    return found


class Shell:
    """One bash, in a folder, that remembers what was exported and says how each command ended; on one processor."""

    def __init__(self, folder: Path, environ: Mapping[str, str], seconds: float) -> None:
        with one_processor():
            self._bash = subprocess.Popen(
                ["bash", "--noprofile", "--norc"],
                cwd=folder,
                env=dict(environ),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        self._until = time.monotonic() + seconds

    def run(self, words: str) -> tuple[str, int]:
        """Type a command; return what it printed on either stream, and its exit status."""
        assert self._bash.stdin is not None
        assert self._bash.stdout is not None
        mark = f"<<{os.urandom(8).hex()}>>"
        self._bash.stdin.write(f"{words}\nprintf '\\n{mark}%d\\n' $?\n")
        self._bash.stdin.flush()
        watchdog = threading.Timer(self._until - time.monotonic(), self._end)
        watchdog.start()
        try:
            lines: list[str] = []
            for line in self._bash.stdout:
                if line.startswith(mark):
                    return "".join(lines).removesuffix("\n"), int(line[len(mark) :])
                lines.append(line)
        finally:
            watchdog.cancel()
        raise AssertionError(f"`{words}` did not end in time; it had printed:\n{''.join(lines)}")

    def close(self) -> None:
        """End the shell and what it left running in its session."""
        self._end()
        self._bash.communicate()

    def _end(self) -> None:
        try:
            os.killpg(self._bash.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
