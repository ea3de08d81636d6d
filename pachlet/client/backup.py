"""Write a backup that a server sends into a folder of this machine.

A file gets its name when all of it is on disk, and the database, which makes the folder a backup, comes last:
a backup that is broken off leaves the one before it as it was, and what has arrived is not sent again. Only
what changed is sent anyway, because packs and code never change once they are written.

Read next: wire/proto/pachlet/v1/storage.proto; pachlet/pfs/restoring.py (the way back).
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from pachlet.client.connection import Connection, Message
from pachlet.client.storage import ask
from pachlet.config import DataDir
from pachlet.errors import Corrupt, FailedPrecondition, PachletError

_DATABASE = "pachlet.db"
_UNFINISHED = ".part"


@dataclass(frozen=True)
class Summary:
    """What a backup took: all of it, what was sent just now, and what of it was damaged already."""

    files: int
    bytes: int
    sent: int
    faults: list[str]


def back_up(connection: Connection, folder: Path, report: Callable[[int], Callable[[int], None]]) -> Summary:
    """Make or refresh the backup in `folder`.

    `report` is called once with the bytes to come and returns what to call with the bytes that have.

    Raises:
        FailedPrecondition: the folder holds something else, or has been served from.
        Corrupt: what arrived is not what was sent.
    """
    with _disk_errors(folder):
        lineage = _prepare(folder)
        have = list(_have(folder)) if lineage else []
        target = _Target(folder)
        answers = ask(connection, "Backup", {"have": have, "lineage": lineage})
        with contextlib.closing(answers), contextlib.closing(target):
            plan = next(answers).plan
            _write(DataDir(folder).label, json.dumps({"lineage": plan.lineage}) + "\n")
            summary = Summary(plan.files, plan.bytes, plan.bytes - plan.had_bytes, [])
            advance = report(summary.sent)
            for answer in answers:
                kind = answer.WhichOneof("body")
                if kind == "file":
                    target.begin(answer.file)
                elif kind == "data":
                    target.write(answer.data)
                    advance(len(answer.data))
                elif kind == "digest":
                    target.end(answer.digest)
                else:
                    target.finish(answer.end.paths)
                    summary.faults.extend(answer.end.faults)
    return summary


def _prepare(folder: Path) -> str:
    """Return the lineage of the backup in a folder, "" if the folder is empty."""
    folder.mkdir(parents=True, exist_ok=True)
    label = DataDir(folder).label
    if not label.exists():
        if any(folder.iterdir()):
            raise FailedPrecondition(
                f"{folder} is not empty and holds no backup", hint="choose an empty or a new folder"
            )
        return ""
    if (folder / "lock").exists():
        raise FailedPrecondition(
            f"{folder} was served from, so it is no mere backup any more", hint="choose an empty folder"
        )
    try:
        return str(json.loads(label.read_text())["lineage"])
    except (ValueError, KeyError, TypeError):
        raise FailedPrecondition(f"{label} is damaged", hint="choose an empty folder") from None


def _have(folder: Path) -> Iterator[dict[str, Any]]:
    for name in ("packs", "code"):
        for path in (folder / name).rglob("*"):
            if path.is_file() and path.suffix != _UNFINISHED:
                yield {"path": path.relative_to(folder).as_posix(), "size": path.stat().st_size}


class _Target:
    """The folder that files go to."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: Message = None
        self._out: IO[bytes] | None = None
        self._digest = hashlib.sha256()

    def begin(self, file: Message) -> None:
        self._file, self._digest = file, hashlib.sha256()
        path = self._unfinished()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._out = path.open("wb")

    def close(self) -> None:
        """Let go of a file that was not ended."""
        if self._out is not None:
            self._out.close()

    def write(self, data: bytes) -> None:
        assert self._out is not None
        self._digest.update(data)
        self._out.write(data)

    def end(self, digest: bytes) -> None:
        assert self._out is not None
        self._out.flush()
        os.fsync(self._out.fileno())
        self._out.close()
        if digest != self._digest.digest():
            raise Corrupt(f"{self._file.path} arrived damaged", hint="try again; what has arrived is kept")
        path = self._unfinished()
        path.chmod(self._file.mode or 0o644)
        if self._file.path != _DATABASE:
            path.replace(_inside(self._folder, self._file.path))

    def finish(self, paths: list[str]) -> None:
        """Put the database in place and remove what does not belong to the backup any more."""
        wanted = {_inside(self._folder, path) for path in paths}
        for folder in {path.parent for path in wanted}:
            _sync(folder)
        database = self._folder / _DATABASE
        database.with_name(_DATABASE + _UNFINISHED).replace(database)
        _sync(self._folder)
        for name in ("packs", "code"):
            for path in (self._folder / name).rglob("*"):
                if path.is_file() and path not in wanted:
                    path.unlink()

    def _unfinished(self) -> Path:
        path = _inside(self._folder, self._file.path)
        return path.with_name(path.name + _UNFINISHED)


def _inside(folder: Path, path: str) -> Path:
    parts = PurePosixPath(path).parts
    if not parts or parts[0] == "/" or ".." in parts:
        raise PachletError(f"the server names a file outside of the backup: {path}")
    return folder.joinpath(*parts)


def _write(path: Path, text: str) -> None:
    made = path.with_name(path.name + _UNFINISHED)
    made.write_text(text)
    made.replace(path)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise PachletError(
            f"cannot write to {error.filename or folder}: {error.strerror or error}",
            hint="make room and try again; what has arrived is kept" if is_full else "choose another folder",
        ) from None
