"""Bring the code of an image from a server here: the snapshot that it ran, file by file.

Read next: head.py (a worker needs it), datum.py (so does who looks at a datum).
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pachlet.errors import FailedPrecondition


def keep_code(pieces: Iterator[Any], snapshot: Path) -> None:
    """Make the snapshot of a stream of pachlet.v1.FilePiece, whole or not at all.

    Raises:
        FailedPrecondition: the server sends what has no place in it.
    """
    snapshot.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=snapshot.parent, prefix=".fetching-"))
    try:
        (scratch / "files").mkdir()
        for path, executable, blocks in files_of(pieces):
            target = scratch / path
            if not target.resolve().is_relative_to(scratch.resolve()):
                raise FailedPrecondition(f"the server sends code that leads out of its folder: {path}")
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                file.writelines(blocks)
            target.chmod(0o555 if executable else 0o444)
        scratch.rename(snapshot)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def files_of(pieces: Iterator[Any]) -> Iterator[tuple[str, bool, Iterator[bytes]]]:
    """Yield path, whether it is executable, and bytes of each file in a stream of pieces."""
    head = next(pieces, None)
    while head is not None:
        following: list[Any] = []

        def blocks(following: list[Any] = following) -> Iterator[bytes]:
            for piece in pieces:
                if piece.path or piece.HasField("number"):
                    following.append(piece)
                    return
                yield piece.bytes

        body = blocks()
        yield head.path, head.is_executable, body
        for _ in body:
            pass  # what the caller left unread
        head = following[0] if following else None
