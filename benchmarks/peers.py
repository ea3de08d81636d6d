"""Other tools that version data, where they are installed: the same folder put, put again and brought back.

Read next: small_files.py, put_get.py.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path


class Peer:
    """One tool with a repository of its own."""

    name = ""
    program = ""
    environ: dict[str, str] = {}  # noqa: RUF012

    def __init__(self, place: Path) -> None:
        self.place = place
        place.mkdir(parents=True)

    def create(self) -> None:
        """Make an empty repository."""
        raise AssertionError

    def put(self, source: Path) -> None:
        """Version a folder."""
        raise AssertionError

    def restore(self, target: Path) -> None:
        """Bring the newest version back into an empty folder."""
        raise AssertionError

    def run(self, *words: str | Path, cwd: Path | None = None) -> None:
        """Run the tool."""
        subprocess.run(
            [self.program, *words],
            check=True,
            cwd=cwd,
            env={**os.environ, **self.environ},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


class Git(Peer):
    """git with compression off, which is its fastest."""

    name = program = "git"

    def create(self) -> None:
        self.run("init", "-q", "--bare", self.place / "git")
        for setting in (
            "core.compression=0",
            "user.name=x",
            "user.email=x@x",
            "core.bare=false",
            "gc.auto=0",
        ):
            self.run("-C", self.place / "git", "config", *setting.split("="))

    def put(self, source: Path) -> None:
        at = (f"--git-dir={self.place / 'git'}", f"--work-tree={source}")
        self.run(*at, "add", "-A", ".", cwd=source)
        self.run(*at, "commit", "-q", "--allow-empty", "-m", "x", cwd=source)

    def restore(self, target: Path) -> None:
        at = (f"--git-dir={self.place / 'git'}", f"--work-tree={target}")
        self.run(*at, "checkout", "-q", "-f", "HEAD", "--", ".", cwd=target)


class Restic(Peer):
    """restic with its defaults."""

    name = program = "restic"
    environ = {"RESTIC_PASSWORD": "x"}  # noqa: RUF012

    def create(self) -> None:
        self.run("init", "-r", self.place / "repository")

    def put(self, source: Path) -> None:
        self.run("backup", "-q", "-r", self.place / "repository", source)

    def restore(self, target: Path) -> None:
        self.run("restore", "-q", "-r", self.place / "repository", "latest", "--target", target)


class Borg(Peer):
    """borg without encryption."""

    name = program = "borg"
    environ = {"BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes"}  # noqa: RUF012

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self._number = 0

    def create(self) -> None:
        self.run("init", "-e", "none", self.place / "repository")

    def put(self, source: Path) -> None:
        self._number += 1
        self.run("create", f"{self.place / 'repository'}::{self._number}", source)

    def restore(self, target: Path) -> None:
        self.run("extract", f"{self.place / 'repository'}::{self._number}", cwd=target)


class Dvc(Peer):
    """DVC without git; its workspace is a copy of the folder, which is not counted."""

    name = program = "dvc"

    def create(self) -> None:
        self.run("init", "-q", "--no-scm", cwd=self.place)

    def prepare(self, source: Path) -> None:
        """Make the workspace what the folder is."""
        subprocess.run(["rsync", "-a", "--delete", f"{source}/", self.place / "data"], check=True)

    def put(self, source: Path) -> None:
        self.run("add", "-q", "data", cwd=self.place)

    def restore(self, target: Path) -> None:
        shutil.rmtree(self.place / "data")
        self.run("checkout", "-q", cwd=self.place)


def installed(place: Path) -> list[Peer]:
    """Return the peers that are there, each with an empty repository; say which are not."""
    found = []
    for kind in (Git, Restic, Borg, Dvc):
        if shutil.which(kind.program) is None or (kind is Dvc and shutil.which("rsync") is None):
            print(f"{kind.program} is not installed here, so it is not measured")
            continue
        peer = kind(place / kind.name)
        peer.create()
        found.append(peer)
    return found
