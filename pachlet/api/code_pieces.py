"""Send the code of an image, as it is kept in a snapshot: to a worker, or to who looks at a datum.

Read next: work_service.py, proof_service.py; pachlet/remote/code.py (the other end).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pachlet.api import messages

_PIECE = 1 << 20


def code_pieces(root: Path) -> Iterator[Any]:
    """Yield the files of a snapshot as pachlet.v1.FilePiece, the first piece of each with its path."""
    for at, _, names in os.walk(root):
        for name in sorted(names):
            path = Path(at, name)
            yield messages.make(
                "pachlet.v1.FilePiece",
                path=path.relative_to(root).as_posix(),
                is_executable=bool(path.stat().st_mode & 0o111),
            )
            with path.open("rb") as file:
                while block := file.read(_PIECE):
                    yield messages.make("pachlet.v1.FilePiece", bytes=block)
