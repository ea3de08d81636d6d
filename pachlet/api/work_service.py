"""pachlet.v1.Work: what workers of other processes ask, on this machine or another.

A worker that is reached over a connection may fall silent, so its leases have a deadline; that is all that is
different from a worker beside the store. Whoever reaches the server may be a worker: it listens on loopback only
(pps/leases.py).

Read next: pachlet/worker/head.py (what is promised), pachlet/remote/head.py (the other end).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pachlet.api import messages
from pachlet.api.code_pieces import code_pieces
from pachlet.api.handlers import Context
from pachlet.errors import InvalidArgument, NotFound
from pachlet.metadb.changes import Closed
from pachlet.paths import check_file_path
from pachlet.pps.datum_folder import Found, original
from pachlet.pps.desk import Desk, as_input_file, lease_of, source_of
from pachlet.storage.chunks import ChunkWriter
from pachlet.storage.content import Content, write_content
from pachlet.worker.head import NoMoreWork, Work
from pachlet.worker.lease_messages import lease_message, read_ending

LEASE_SECONDS = 10.0
"""A worker that is silent for so long has lost its lease."""
_MOST_PATIENCE = 60.0


class WorkService:
    """Answers pachlet.v1.Work."""

    def __init__(self, desk: Desk, snapshots: Path) -> None:
        self._desk = desk
        self._leases = desk.leases
        self._snapshots = snapshots

    def Take(self, request: Any, context: Context) -> Any:
        if not request.worker:
            raise InvalidArgument("a worker needs a name")

        def refuses(work: Work) -> str:
            is_other = work.image.kind == "host" and work.image.digest != request.host_digest
            return (
                f"image {work.image.reference} is the server's own programs; it has others"
                if is_other
                else ""
            )

        until = time.monotonic() + min(request.patience_seconds, _MOST_PATIENCE)
        while context.is_active():
            left = until - time.monotonic()
            patience = min(max(left, 0.0), 1.0)
            try:
                held = self._leases.take(request.worker, patience, seconds=LEASE_SECONDS, refuses=refuses)
            except NoMoreWork:
                raise Closed from None
            if held is not None:
                if not context.is_active():
                    self._leases.give_back(held.token)
                    break
                return messages.make("pachlet.v1.TakeResponse", lease=lease_message(lease_of(held)))
            if left <= 0:
                break
        return messages.make("pachlet.v1.TakeResponse")

    def Renew(self, request: Any, context: Context) -> Any:
        found = self._leases.renew(request.token)
        return messages.make(
            "pachlet.v1.RenewResponse", restarts=found.restarts, should_yield=found.should_yield
        )

    def Code(self, request: Any, context: Context) -> Iterator[Any]:
        image = self._leases.get(request.token).offer.work.image
        yield from code_pieces(self._snapshots / image.digest.removeprefix("sha256:"))

    def Inputs(self, request: Any, context: Context) -> Iterator[Any]:
        for found in self._desk.begin(request.token, request.datum):
            file = as_input_file(found)
            yield messages.make(
                "pachlet.v1.InputFile", path=file.path, key=file.key, size=file.size, is_lazy=file.is_lazy
            )

    def Read(self, request: Any, context: Context) -> Iterator[Any]:
        found = self._desk.inputs(request.token, request.datum)
        for number in request.numbers:
            if number >= len(found):
                raise NotFound(f"datum {request.datum} has no file number {number}")
            yield messages.make("pachlet.v1.FilePiece", number=number)
            for block in self._desk.read(found[number]):
                yield messages.make("pachlet.v1.FilePiece", bytes=block)

    def Settle(self, requests: Iterator[Any], context: Context) -> Any:
        started = time.monotonic()
        first = next(requests, None)
        if first is None or first.WhichOneof("body") != "ending":
            raise InvalidArgument("the first message must say how the datum ended")
        ending = first.ending
        try:
            result = read_ending(ending)
        except ValueError as error:
            raise InvalidArgument(f"the datum's end makes no sense: {error}") from None
        self._leases.find(ending.token, ending.datum)  # before anything is stored
        writer = self._desk.files.store.writer()
        inputs = self._desk.inputs(ending.token, ending.datum)
        outputs = list(self._read_outputs(_until_whole(requests), writer, inputs))
        seconds = time.monotonic() - started
        recorded = self._desk.settle(
            ending.token, ending.datum, result, outputs, writer, seconds, is_awaited=True
        )
        recorded.result()
        return messages.empty()

    def _read_outputs(
        self, requests: Iterator[Any], writer: ChunkWriter, inputs: Sequence[Found]
    ) -> Iterator[tuple[str, Content]]:
        """Store the files that come as pieces, the first of each with its path; yield paths and contents."""
        piece = next(requests, None)
        while piece is not None:
            path = piece.piece.path
            check_file_path(path)
            if piece.piece.input:
                yield path, original(self._desk.files.store, writer, inputs, piece.piece.input)
                piece = next(requests, None)
                continue
            following: list[Any] = []

            def blocks(first: bytes = piece.piece.bytes, following: list[Any] = following) -> Iterator[bytes]:
                if first:
                    yield first
                for each in requests:
                    if each.piece.path:
                        following.append(each)
                        return
                    yield each.piece.bytes

            yield path, write_content(writer, blocks())
            piece = following[0] if following else None

    def Say(self, request: Any, context: Context) -> Any:
        held = self._leases.get(request.token)
        source, logbook = source_of(held, request.datum, request.worker), self._desk.logbook
        if request.WhichOneof("body") == "printed":
            log = held.printed = held.printed or logbook.begin_attempt(source)
            for line in request.printed.lines:
                log.add(line)
            if request.printed.is_end:
                log.end()
                held.printed = None
        else:
            logbook.worker(source, request.line)
        return messages.empty()

    def GiveBack(self, request: Any, context: Context) -> Any:
        if request.problem:
            held = self._leases.get(request.token)
            self._desk.logbook.master(
                held.offer.source, f"worker {held.worker} can't run this job: {request.problem}"
            )
        self._leases.give_back(request.token, refusal=request.problem)
        return messages.empty()


def _until_whole(requests: Iterator[Any]) -> Iterator[Any]:
    """Yield messages up to the last one.

    Raises:
        InvalidArgument: it did not come. What a worker wrote that was killed meanwhile may seem to end anywhere.
    """
    for each in requests:
        if each.is_whole:
            return
        yield each
    raise InvalidArgument("what a datum wrote did not come whole: the last message must say is_whole")
