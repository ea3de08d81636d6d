"""What answers a call, as gRPC sees it."""

from __future__ import annotations

import gc
import io
import logging
import weakref
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from pachlet.api import handlers
from pachlet.api.handlers import make_handlers
from pachlet.errors import Unavailable


class Aborted(RuntimeError):
    """What ends a call that failed."""

    is_work_left: bool


class Call:
    """The context of a call; its caller is told that it failed by the call of abort."""

    def __init__(self, files: Files, *, is_gone: bool) -> None:
        self.files, self.is_gone = files, is_gone

    def is_active(self) -> bool:
        return not self.is_gone

    def abort(self, code: grpc.StatusCode, details: str) -> None:
        aborted = Aborted(details)
        aborted.is_work_left = self.files.work() is not None
        raise aborted


class Upload:
    """What may be large."""


class Files:
    """A service that learns in the middle of its work that it can't go on."""

    work: weakref.ref[Upload]

    def ModifyFile(self, requests: Iterator[Any], context: Any) -> Any:
        upload = Upload()
        self.work = weakref.ref(upload)
        return [upload, *requests]


def _is_work_left(fail: Callable[[], Iterator[Any]], *, is_gone: bool, match: str) -> bool:
    """Let a call fail; tell whether what it was at was still there when its caller was told."""
    files = Files()
    called = SimpleNamespace(method="/pfs_v2.API/ModifyFile", invocation_metadata=())
    (handler,) = filter(None, (each.service(called) for each in make_handlers({"pfs_v2.API": files})))
    gc.disable()  # what is only freed with a cycle of references would stay for hours
    try:
        with pytest.raises(Aborted, match=match) as caught:
            handler.stream_unary(fail(), Call(files, is_gone=is_gone))
        return caught.value.is_work_left
    finally:
        gc.enable()


def test_what_a_call_was_at_that_broke_off_goes_with_it() -> None:
    kept: list[grpc.RpcError] = []

    def requests() -> Iterator[Any]:
        kept.append(grpc.RpcError())  # gRPC keeps its own errors with the state of the call
        raise kept[0]
        yield

    assert not _is_work_left(requests, is_gone=True, match="the caller has gone")
    assert kept


def test_what_a_call_was_at_is_gone_when_its_caller_learns_why_it_failed() -> None:
    def requests() -> Iterator[Any]:
        try:
            raise OSError("the write failed")
        except OSError as error:
            raise Unavailable("no space left") from error
        yield

    assert not _is_work_left(requests, is_gone=False, match="no space left")


def test_what_a_call_was_at_is_gone_when_its_caller_learns_of_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr(
        handlers.log, "propagate", False
    )  # pytest keeps what it is told, with all that was at work
    monkeypatch.setattr(handlers.log, "handlers", [logging.StreamHandler(written)])

    def requests() -> Iterator[Any]:
        raise KeyError("what nobody thought of")
        yield

    assert not _is_work_left(requests, is_gone=False, match="this is a bug of pachlet")
    assert "raise KeyError" in written.getvalue()  # the log says where
