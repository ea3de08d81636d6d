"""Run the programs that install what an image needs: again where the network failed, and no longer than is wanted.

A package index that is out of reach for some seconds should not cost a job. And who stops a server, which may be in
the middle of two gigabytes, should not wait for them: what is begun is ended with all its processes, and made anew the
next time.

Read next: environments.py (who installs).
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TypeVar

from pachlet.errors import PachletError, Unavailable

T = TypeVar("T")

INSTALLS = __name__
"""The logger of what is installed: its beginning, its end, its failure."""

log = logging.getLogger(INSTALLS)

_PAUSES = (2.0, 8.0, 20.0)
"""Seconds before each further try; uv itself asks an index several times in one."""
_SHOWN = 300
_NETWORK = (
    "error sending request",
    "failed to fetch",
    "dns error",
    "timed out",
    "certificate",
    "newconnectionerror",
    "connection broken",
    "connection reset",
    "response body",
)
"""Signs in what uv and pip print that what it asked for could not be reached."""


class OutOfReach(Unavailable):
    """The network failed, and may not the next time."""


class Stopped(Unavailable):
    """Nothing is installed any more, because whoever wanted it ends."""


class Installer:
    """Runs such programs for one runner. Safe to use from many threads."""

    def __init__(self, pause: Callable[[float], object] | None = None) -> None:
        """Let `pause` pass the time between two tries; real time unless a test says otherwise."""
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self._halted = threading.Event()
        self._pause = pause or self._halted.wait

    def run(self, command: Sequence[str], lock: int | None = None) -> subprocess.CompletedProcess[str]:
        """Run a program to its end, or ours, in a group of its own, and return what it printed.

        `lock` is the descriptor of a file that it holds open.

        Raises:
            Stopped: `halt` was called.
        """
        with self._lock:
            self.check()
            process = subprocess.Popen(
                [*with_us(), *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                cwd="/",
                pass_fds=[] if lock is None else [lock],
                start_new_session=True,
            )
            self._running.add(process)
        try:
            out, err = process.communicate()
        except BaseException:  # Ctrl-C, which its group does not hear
            _kill(process)
            raise
        finally:
            with self._lock:
                self._running.discard(process)
        self.check()
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def persist(self, work: Callable[[], T], say: Callable[[str], None]) -> T:
        """Do what needs the network; a few times, if it is out of reach, before that is raised."""
        for pause in _PAUSES:
            try:
                return work()
            except OutOfReach as error:
                what = " ".join(error.message.split())[:_SHOWN]
                say(f"the network failed, and is tried again in {pause:g} s: {what}")
            self.wait(pause)
        try:
            return work()
        except OutOfReach as error:
            raise OutOfReach(f"{error.message}\n(tried {len(_PAUSES) + 1} times)", hint=error.hint) from None

    def wait(self, seconds: float) -> None:
        """Let some time pass; raise Stopped as soon as `halt` is called."""
        self._pause(seconds)
        self.check()

    def check(self) -> None:
        """Raise Stopped if `halt` was called."""
        if self._halted.is_set():
            raise Stopped(
                "the installation was ended, because the server stops", hint="it is made when next needed"
            )

    def halt(self) -> None:
        """End what runs, with all its processes, and let nothing begin any more. Returns at once."""
        with self._lock:
            self._halted.set()
            for process in self._running:
                _kill(process)


@contextmanager
def logged(image: str, what: str, say: Callable[[str], None]) -> Iterator[Callable[[str], None]]:
    """Give what says a line, in the server's log too, while something is made for an image that may take minutes."""
    began, is_new = time.monotonic(), False

    def tell(line: str) -> None:
        nonlocal is_new
        is_new = True
        log.info("image %s: %s", image, line)
        say(line)

    try:
        yield tell
    except PachletError as error:
        log.info("image %s has no %s: %s", image, what, error.message)
        raise
    if is_new:
        log.info("image %s has its %s, made in %.1f s", image, what, time.monotonic() - began)


def with_us() -> list[str]:
    """Return the words before a command that is to end with us, even if we are killed."""
    return ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []


def _kill(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def is_of_network(said: str) -> bool:
    """Tell whether uv, or pip, failed because of the network, by what it printed."""
    return any(sign in said.lower() for sign in _NETWORK)
