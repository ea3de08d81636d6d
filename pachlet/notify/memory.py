"""Remember which letters were delivered, over restarts, in one small file.

The file holds a time, up to which everything is done with, and what was delivered about the job sets after it; so it
does not grow. It is replaced as a whole and synced before the next letter is sent, and held by one process at a time.
Between the moment a letter is accepted and the moment it is remembered a crash makes it come twice, with the same id;
the other order would lose it.

Read next: watch.py (who asks).
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import IO

from pachlet.errors import FailedPrecondition, PachletError
from pachlet.spec.times import format_time, parse_time

SCHEMA = "pachlet.notified/1"


class Memory:
    """What one server's watcher remembers; times are nanoseconds since 1970.

    With `is_kept` False the file is read, neither held nor written.

    Raises:
        FailedPrecondition: another process holds the file.
        PachletError: it can't be read or written, or is no such file.
    """

    def __init__(self, path: Path, *, is_kept: bool = True) -> None:
        self.path = path
        self._is_kept = is_kept
        self._lock: IO[bytes] | None = None
        self.since: int | None = None
        """Jobs that were created before are done with; None before the first look."""
        self._told: dict[str, list[str]] = {}
        try:
            if is_kept:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._lock = self._hold()
            try:
                self._read()
            except BaseException:
                self.close()
                raise
        except OSError as error:
            raise PachletError(f"{path}: {error.strerror}", hint="choose another file with --state") from None

    def has(self, id: str, channel: str) -> bool:
        """Tell whether a channel delivered the letter about a job set."""
        return channel in self._told.get(id, ())

    def add(self, id: str, channel: str) -> None:
        """Remember a delivery; it is on the disk when this returns."""
        self._told.setdefault(id, []).append(channel)
        self._write()

    def take_as_told(self, channel: str, others: Collection[str]) -> None:
        """Take as delivered by a channel what all of some others delivered; without any, what one did."""
        for done in self._told.values():
            if done and all(each in done for each in others):
                done.append(channel)

    def advance(self, since: int, kept: set[str]) -> None:
        """Be done with all before a time, and forget what was told of sets that are not among `kept`."""
        told = {id: channels for id, channels in self._told.items() if id in kept}
        if (since, told) != (self.since, self._told):
            self.since, self._told = since, told
            self._write()

    def close(self) -> None:
        """Let another process have the file."""
        if self._lock is not None:
            self._lock.close()

    def _hold(self) -> IO[bytes]:
        lock = self.path.with_name(self.path.name + ".lock").open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise FailedPrecondition(
                f"another `pachlet notify` uses {self.path}", hint="one is enough; or give this a --state"
            ) from None
        return lock

    def _read(self) -> None:
        if not self.path.exists():
            return
        try:
            found = json.loads(self.path.read_text())
            since = parse_time(found["since"])
            told = {str(id): [str(each) for each in done] for id, done in found["told"].items()}
            if found["schema"] != SCHEMA or since is None:
                raise ValueError
        except (ValueError, KeyError, TypeError, AttributeError):
            raise PachletError(
                f"{self.path} is no memory of `pachlet notify`",
                hint="remove it to begin at the present, or give another --state",
            ) from None
        self.since, self._told = since, told

    def _write(self) -> None:
        if not self._is_kept:
            return
        content = {"schema": SCHEMA, "since": format_time(self.since or 0), "told": self._told}
        handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}")
        try:
            with os.fdopen(handle, "w") as out:
                out.write(json.dumps(content, sort_keys=True, indent=1) + "\n")
                out.flush()
                os.fsync(out.fileno())
            Path(name).replace(self.path)
            folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)  # the new name must survive a power cut, too
            finally:
                os.close(folder)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
