"""Type the commands of a page, in order, and hold what they print against what the page shows.

    In `PATH`:               the block below is put into that file first
    <!-- set up: ... -->     commands that a reader has no need to see, one a line; each must end well
    <!-- not typed: WHY -->  the block below is not typed; it says why

What is changed on the way are the ports 30650 and 30660 to 30669, for which any free ones stand here.

Read next: console.py, test_tutorials.py, test_typed_pages.py.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import grpc

from tests.docs.console import Command, Shell, commands
from tests.docs.copies import environ, stop_servers

_PART = re.compile(
    r"<!-- set up:\n(?P<before>.*?)-->"
    r"|(?:[Ii]n\s+`(?P<name>[^`]+)`:\n\n)?(?:<!-- not typed: (?P<why>[^>]+) -->\n)?"
    r"^```(?P<kind>\w+)\n(?P<block>.*?)^```$",
    re.M | re.S,
)
_PORT = re.compile(r"\b306(?:50|6\d)\b")
_ELSEWHERE = "pachd.example.com:30650", "127.0.0.1:30669"
"""A server of somebody else's, and where a page's set-up starts one in its place."""
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_PORTS = iter(range(20_000 + 500 * _WORKER, 20_500 + 500 * _WORKER))


@dataclass(frozen=True)
class Part:
    """A fenced block of a page, or what is typed before one."""

    kind: str
    block: str
    name: str = ""
    why: str = ""
    """Why it is not typed."""


def parts(text: str) -> Iterator[Part]:
    """Read a page's blocks and what is typed before them, in order."""
    for found in _PART.finditer(text):
        if found["before"] is not None:
            yield Part("set up", found["before"])
        else:
            yield Part(found["kind"], found["block"], found["name"] or "", found["why"] or "")


@contextmanager
def typist(clone: Path, seconds: float) -> Iterator[Typist]:
    """Give somebody who types in a copy of the repository; the servers that they leave are stopped."""
    shell = Shell(clone, environ(clone), seconds)
    try:
        yield Typist(shell, clone)
    finally:
        stop_servers(clone)  # while the shell is there: with it they would be killed
        shell.close()


class Typist:
    """Types pages into one shell, in a copy of the repository."""

    def __init__(self, shell: Shell, clone: Path) -> None:
        self._shell, self._clone = shell, clone
        self._ports: dict[str, str] = {}
        self.typed = 0

    def type(self, text: str) -> None:
        """Type all of a page."""
        for part in parts(_PORT.sub(lambda found: self._port(found[0]), text.replace(*_ELSEWHERE))):
            if part.name:
                path = self._clone / part.name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(part.block)
            if part.kind == "set up":
                for words in part.block.splitlines():
                    self._type(Command(words, "..."))
            elif part.kind == "console" and not part.why:
                for command in commands(part.block):
                    self._type(command)
                    self.typed += 1

    def _type(self, command: Command) -> None:
        printed, status = self._shell.run(command.words)
        assert status == command.status, f"$ {command.words}\n{printed}"
        shown = command.output
        assert command.allows(printed), f"$ {command.words}\nshown:\n{shown}\nprinted:\n{printed}"
        if command.words.endswith(" &") and (port := re.search(r"serve .*--port (\d+)", command.words)):
            wait_for_server(port[1])

    def _port(self, shown: str) -> str:
        if shown not in self._ports:
            self._ports[shown] = free_port()
        return self._ports[shown]


def free_port() -> str:
    """Choose a port for a server that may be started minutes from now.

    It is below those that the kernel gives to whoever asks for any, and each worker of a test run has its own.
    """
    for port in _PORTS:
        with socket.socket() as asked, suppress(OSError):
            asked.bind(("127.0.0.1", port))
            return str(port)
    raise AssertionError("no port is free")


def wait_for_server(port: str) -> None:
    """Wait as long as a reader needs to type the next command."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        grpc.channel_ready_future(channel).result(timeout=60)
