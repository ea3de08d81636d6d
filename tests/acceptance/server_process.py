"""A server in a process of its own, to be killed: started, found, killed, and nothing of it left.

Read next: processes.py (what is left of one), test_durability.py.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from tests.acceptance.processes import Watched

_SECONDS = 30
ROOT = Path(__file__).parent.parent.parent
START = "import sys; from pachlet.cli.main import main; sys.exit(main())"
STACKS = "import faulthandler, signal; faulthandler.register(signal.SIGUSR1)\n"  # what hangs is asked where


class ServerProcess:
    """`pachlet serve` on a data directory and a free port, with two workers unless `more` says otherwise.

    `before` is Python that it runs first; `said` is what it has written to stderr since it served, once it has ended.
    """

    def __init__(self, data_dir: Path, *more: str, port: int = 0, before: str = "") -> None:
        command = [
            sys.executable,
            "-c",
            STACKS + before + START,
            "serve",
            "--data-dir",
            str(data_dir),
            "--port",
            str(port),
        ]
        self.process = subprocess.Popen(
            [*command, "--workers", "2", "--code", str(ROOT), *more],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        first = self.process.stderr.readline()  # it says where it serves as soon as it does
        self.said = ""
        self.address = first.removeprefix("pachlet serves on ").partition(",")[0]

    def kill(self) -> None:
        """Kill it as a power cut would, and see that all that it started dies as well."""
        self._end(signal.SIGKILL)

    def terminate(self) -> int:
        """Ask it to end; return its exit status."""
        return self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> int:
        with Watched(self.process.pid):
            self.process.send_signal(number)
            try:
                _, self.said = self.process.communicate(timeout=_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.send_signal(signal.SIGUSR1)
                with suppress(subprocess.TimeoutExpired):
                    self.process.communicate(timeout=5)  # as long as it may take to say
                self.process.kill()
                raise AssertionError(f"the server does not end:\n{self.process.communicate()[1]}") from None
        return self.process.returncode

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()


def refusal(data_dir: Path, *more: str) -> str:
    """Start a server that is to be refused; return what it says."""
    command = [sys.executable, "-c", START, "serve", "--data-dir", str(data_dir), *more]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode != 0
    assert "Traceback" not in ended.stderr
    return ended.stderr
