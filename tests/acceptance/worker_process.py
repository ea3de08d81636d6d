"""A worker in a process of its own that shares no disk with its server, to be ended or killed.

Read next: test_remote_worker.py.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.acceptance.processes import Watched

ROOT = Path(__file__).parent.parent.parent
KEPT_OUT = 97
START = f"""
import os, sys

forbidden = sys.argv[1]

def watch(event, arguments):
    for each in arguments:
        if isinstance(each, (str, bytes, os.PathLike)) and os.path.realpath(os.fsdecode(each)).startswith(forbidden):
            os.write(2, f"{{event}} of the server's {{each}}\\n".encode())
            os._exit({KEPT_OUT})

watching = ("open", "os.listdir", "os.scandir", "os.mkdir", "os.rename", "os.remove", "os.link", "sqlite3.connect")
sys.addaudithook(lambda event, arguments: watch(event, arguments) if event in watching else None)
from pachlet.cli.main import main
sys.exit(main(sys.argv[2:]))
"""


class WorkerProcess:
    """`pachlet worker` with a folder of its own; it ends itself if it touches the server's data."""

    def __init__(self, address: str, forbidden: Path, folder: Path, *more: str) -> None:
        words = ["worker", "--server", address, "--workers", "1", "--data-dir", str(folder), *more]
        command = [sys.executable, "-c", START, str(forbidden), *words]
        self.process = subprocess.Popen(command, cwd="/", stderr=subprocess.PIPE, text=True, env=_environ())
        assert self.process.stderr is not None
        said = self.process.stderr.readline()
        assert "works for" in said, said + self.process.stderr.read()
        self.name = said.split()[1]

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        with Watched(self.process.pid):
            self.process.send_signal(number)
            _, said = self.process.communicate(timeout=30)
        assert self.process.returncode != KEPT_OUT, said
        return self.process.returncode


def _environ() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}
