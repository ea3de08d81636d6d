"""debug_v2.Debug: what a server can tell of itself, packed as the clients expect it (tar.gz in pieces).

There is one process, so a dump is one folder: versions, how many rows each table has, and what every thread is doing.

Read next: small_services.py.
"""

from __future__ import annotations

import io
import json
import platform
import sys
import tarfile
import threading
import traceback
from collections.abc import Iterator, Mapping
from typing import Any

from pachlet import __version__
from pachlet.api import messages
from pachlet.api.handlers import Context
from pachlet.metadb.connect import Database

_PIECE = 1 << 20


class DebugService:
    """Answers debug_v2.Debug."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def GetDumpV2Template(self, request: Any, context: Context) -> Any:
        system = messages.make("debug_v2.System", version=True, database=True)
        wanted = messages.make("debug_v2.DumpV2Request", system=system)
        return messages.make("debug_v2.GetDumpV2TemplateResponse", request=wanted)

    def DumpV2(self, request: Any, context: Context) -> Iterator[Any]:
        yield messages.make(
            "debug_v2.DumpChunk",
            progress=messages.make("debug_v2.DumpProgress", task="server", total=1, progress=1),
        )
        for piece in _pieces(self._everything()):
            yield messages.make(
                "debug_v2.DumpChunk", content=messages.make("debug_v2.DumpContent", content=piece)
            )

    def Dump(self, request: Any, context: Context) -> Iterator[Any]:
        return _values(_pieces(self._everything()))

    def Profile(self, request: Any, context: Context) -> Iterator[Any]:
        return _values(_pieces({"threads.txt": _threads()}))

    def Binary(self, request: Any, context: Context) -> Iterator[Any]:
        return _values(_pieces({"version.json": _versions()}))

    def _everything(self) -> dict[str, str]:
        with self._database.read() as db:
            row = db.all("count_rows")[0]
        counts = {name: row[name] for name in row.keys()}  # noqa: SIM118 - a Row is no mapping
        return {
            "version.json": _versions(),
            "rows.json": json.dumps(counts, indent=1),
            "threads.txt": _threads(),
        }


def _versions() -> str:
    return json.dumps(
        {"pachlet": __version__, "python": sys.version, "platform": platform.platform()}, indent=1
    )


def _threads() -> str:
    """Return what every thread is doing."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    stacks = sys._current_frames()
    return "\n".join(
        f"{names.get(ident, ident)}\n{''.join(traceback.format_stack(frame))}"
        for ident, frame in stacks.items()
    )


def _pieces(texts: Mapping[str, str]) -> Iterator[bytes]:
    """Yield a tar.gz of texts by name."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, text in texts.items():
            content = text.encode()
            header = tarfile.TarInfo(name)
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content))
    content = packed.getvalue()
    return (content[start : start + _PIECE] for start in range(0, len(content), _PIECE))


def _values(pieces: Iterator[bytes]) -> Iterator[Any]:
    return (messages.make("google.protobuf.BytesValue", value=piece) for piece in pieces)
