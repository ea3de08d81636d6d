"""A Podman service for this process alone, where the user has none running; one that ends is started again.

Podman's API is served by a process of its own. When that is killed (memory ran out, somebody was tidying up), what it
was asked just then fails, and its containers run on; without it no other would ever begin. One that can't be started
(Podman is being upgraded, memory is short) is tried again as well.

Read next: engine.py (who starts it).
"""

from __future__ import annotations

import logging
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from pachlet.worker.installing import with_us

log = logging.getLogger(__name__)

_PAUSE = 0.2
"""Before one that ended is started again: one that can't start would keep a processor busy."""
_LONGEST_PAUSE = 5.0
"""Before one that soon ends again and again, as a Podman does that was removed or whose settings are wrong."""
_PATIENCE = 30.0
_LOOK_AGAIN = 0.02


class PodmanService:
    """A service that a thread starts and looks after; for any thread."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="pachlet-engine-")
        self._socket = Path(self._folder.name, "socket")
        self._log = Path(self._folder.name, "log")
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._closing = threading.Event()
        self.trouble = ""
        """How it ended by itself, or why it can't be started, the last time; "" if that never was."""
        # The kernel ends it with the thread that started it, so that has to be one that stays.
        self._keeper = threading.Thread(target=self._keep, name="podman-service", daemon=True)
        self._keeper.start()

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"unix://{self._socket}"

    @property
    def pid(self) -> int:
        """The process that serves now; 0 if there is none."""
        with self._lock:
            return self._process.pid if self._process is not None else 0

    @property
    def is_up(self) -> bool:
        """Whether it listens; it may have ended a moment ago."""
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self._socket))
            except OSError:
                return False
        return True

    def _last_line(self) -> str:
        """Return what it printed last."""
        lines = self._log.read_text(errors="replace").strip().splitlines() if self._log.exists() else []
        return lines[-1] if lines else ""

    def pause(self, seconds: float) -> None:
        """Wait for a while, or until it is closed."""
        self._closing.wait(seconds)

    def wait_until_up(self) -> None:
        """Wait until it listens; not for ever: whoever calls it then is told that it does not."""
        deadline = time.monotonic() + _PATIENCE
        while not self.is_up and not self._closing.is_set() and time.monotonic() < deadline:
            self.pause(_LOOK_AGAIN)  # it has no way to tell that it is ready

    def close(self) -> None:
        """End it. May be called twice."""
        self._closing.set()
        with self._lock:
            if self._process is not None:
                self._process.terminate()
        self._keeper.join()
        self._folder.cleanup()

    def _keep(self) -> None:
        pause = _PAUSE
        while not self._closing.is_set():
            began = time.monotonic()
            try:
                trouble = self._serve()
            except OSError as problem:
                trouble = f"it can't be started: {problem}"
            if self._closing.is_set():
                return
            pause = min(2 * pause, _LONGEST_PAUSE) if time.monotonic() - began < _LONGEST_PAUSE else _PAUSE
            self.trouble = trouble
            log.warning("podman's service is started again: %s", trouble)
            self.pause(pause)

    def _serve(self) -> str:
        """Start it and wait until it ends; return how it did."""
        with self._lock:
            if self._closing.is_set():
                return ""
            self._socket.unlink(missing_ok=True)
            self._process = process = self._start()
        status = process.wait()
        with self._lock:
            self._process = None
        return f"it ended with status {status}: {self._last_line()}"

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("wb") as out:
            return subprocess.Popen(
                [*with_us(), "podman", *podman_options(), "system", "service", "--time=0", self.address],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=self._folder.name,  # its container monitors leave notes in theirs
                start_new_session=True,  # Ctrl-C at a terminal is for the server, which then ends this one
            )


def podman_options() -> list[str]:
    """Return the words that make Podman work here, before its verb."""
    return [] if has_pure_cgroups() or not shutil.which("runc") else ["--runtime", "runc"]


def has_pure_cgroups() -> bool:
    """Tell whether control groups are of version 2 alone."""
    return Path("/sys/fs/cgroup/cgroup.controllers").exists()
