"""A copy of the repository that a test may change, and the main job run in it as a user runs it.

Read next: test_main_job.py.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from pachlet.cli.verbs.stop import stop_server
from tests.one_processor import one_processor

ROOT = Path(__file__).parent.parent.parent
BIN = Path(sys.executable).parent
PARTS = ("pachlet", "steps", "images", "pipelines", "data")


class Clone:
    """A working copy with a data directory of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data_dir = folder / ".pachlet"
        for part in PARTS:  # with the bytecode, which not every shell lets them make
            half_written = shutil.ignore_patterns("*.pyc.*")  # and gone when it would be copied
            shutil.copytree(ROOT / part, folder / part, ignore=half_written)

    def keep_models(self, *kept: str) -> None:
        """Drop all parameter files but these, such as `svm/rbf1`: each is a model that the main job would make."""
        params = self.folder / "data" / "params"
        for file in params.rglob("*.json"):
            if file.relative_to(params).with_suffix("").as_posix() not in kept:
                file.unlink()

    def few_coins(self) -> Path:
        """Make up five coins, four of them usable, with few days; return their folder."""
        coins = self.folder / "few coins"
        maker = self.folder / "data" / "synthetic_coins.py"
        subprocess.run([sys.executable, maker, coins, "--coins", "5", "--days", "150"], check=True)
        return coins

    def main_job(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run what `make run` runs, to its end."""
        with one_processor():
            return subprocess.run(
                self.command(*arguments),
                cwd=self.folder,
                capture_output=True,
                text=True,
                timeout=840,
                check=False,
            )

    def start_main_job(self, *arguments: str | Path) -> subprocess.Popen[str]:
        """Start what `make run` runs."""
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def command(self, *arguments: str | Path) -> list[str]:
        """Return the command line of the main job; the server takes any free port."""
        words = [sys.executable, "-m", "pipelines.main_job", "--data-dir", self.data_dir, "--port", "0"]
        return [str(word) for word in [*words, *arguments]]

    def pachctl(self, *arguments: str | Path) -> str:
        """Run pachctl on the clone's server; return what it printed."""
        done = subprocess.run(
            [str(word) for word in [BIN / "pachctl", *arguments]],
            env={**os.environ, "PACHD_ADDRESS": self.server()["address"]},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def server(self) -> dict[str, str]:
        """Return the address and process id of the clone's server."""
        found: dict[str, str] = json.loads((self.data_dir / "server.json").read_text())
        return found

    def stop(self) -> None:
        """Stop its server, if there is one."""
        if self.data_dir.exists():
            stop_server(self.data_dir)
