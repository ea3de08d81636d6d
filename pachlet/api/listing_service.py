"""pachlet.v1.Listing: the listings of PFS, many files to an answer.

gRPC carries some 13,000 messages a second from Python to Python, however small they are. The first answer is
short, so that the first lines of a long listing appear at once.

Read next: file_service.py (what is listed).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from pachlet.api import messages
from pachlet.api.file_service import FileService
from pachlet.api.handlers import Context

_FIRST, _MOST = 32, 1000


class ListingService:
    """Answers pachlet.v1.Listing."""

    def __init__(self, files: FileService) -> None:
        self._files = files

    def ListFile(self, request: Any, context: Context) -> Iterator[Any]:
        return _batches(self._files.ListFile(request, context))

    def WalkFile(self, request: Any, context: Context) -> Iterator[Any]:
        return _batches(self._files.WalkFile(request, context))

    def GlobFile(self, request: Any, context: Context) -> Iterator[Any]:
        return _batches(self._files.GlobFile(request, context))


def _batches(infos: Iterator[Any]) -> Iterator[Any]:
    number = _FIRST
    while batch := list(islice(infos, number)):
        yield messages.make("pachlet.v1.FileInfos", infos=batch)
        number = _MOST
