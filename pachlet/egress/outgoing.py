"""What is delivered, what the server lets be reached, and how a delivery is broken off.

Whether to try again is said by the class of what is raised: `Unavailable` for what may go by itself (no connection, a
lock, a server that is too busy), every other PachletError for what somebody has to mend first.

Read next: object_store.py.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pachlet.errors import InvalidArgument, Unimplemented

EXTRA = "pip install 'pachlet[egress]'"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A file to deliver: its absolute path in the commit, its size in bytes, and what yields its bytes each time."""

    path: str
    size: int
    read: Callable[[], Iterator[bytes]]


@dataclass(frozen=True)
class Outlets:
    """What deliveries may use: variables with credentials and endpoints, and one folder of this machine or none."""

    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    folder: Path | None = None

    def place(self, path: str, url: str) -> Path:
        """Return where a path below the folder is; raise InvalidArgument if it leads out of it, or there is none."""
        if self.folder is None:
            raise InvalidArgument(
                f"{url} is on the server's own machine, and this server lets nothing be written there",
                hint="start it with `pachlet serve --egress-dir DIR`; the URL's path is taken below DIR",
            )
        root = os.path.realpath(self.folder)
        found = os.path.realpath(path if _is_below(path, root) else os.path.join(root, path.lstrip("/")))
        if found != root and not _is_below(found, root):
            raise InvalidArgument(f"{url} leads out of {self.folder}, below which the server may write")
        return Path(found)


class Halted(Exception):
    """A delivery was broken off; nobody waits for what becomes of it."""


class Halt:
    """Says that a delivery is to be broken off."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_set = False
        self._hooks: list[Callable[[], None]] = []

    def set(self) -> None:
        """Break off, soon; may be called twice, from any thread."""
        with self._lock:
            self._is_set = True
            hooks, self._hooks = self._hooks, []
        for hook in hooks:
            hook()

    def check(self) -> None:
        """Raise Halted if it is to be broken off."""
        if self._is_set:
            raise Halted

    @contextmanager
    def calling(self, hook: Callable[[], None]) -> Iterator[None]:
        """While the block runs, have `hook` called by who breaks off: it ends a wait that no check would."""
        with self._lock:
            is_late = self._is_set
            self._hooks.append(hook)
        try:
            if is_late:
                raise Halted
            yield
        finally:
            with self._lock:
                if hook in self._hooks:
                    self._hooks.remove(hook)


def need(module: str, what: str) -> Any:
    """Return a module of the extra; raise Unimplemented if it is not installed."""
    check_need(module, what)
    return importlib.import_module(module)


def check_need(module: str, what: str) -> None:
    """Raise Unimplemented if a module of the extra is not installed."""
    if importlib.util.find_spec(module) is None:
        raise Unimplemented(f"{what} needs the package {module}, which is not installed", hint=EXTRA)


def _is_below(path: str, root: str) -> bool:
    return path.startswith(root.rstrip("/") + "/")
