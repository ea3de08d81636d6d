"""What answers a call, as gRPC sees it."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from pachlet.api.handlers import make_handlers


class Gone:
    """The context of a call whose caller has gone."""

    def is_active(self) -> bool:
        return False

    def abort(self, code: grpc.StatusCode, details: str) -> None:
        raise RuntimeError(details)


class Upload:
    """What may be large."""


class Files:
    """A service that is told in the middle of its work that the stream broke off."""

    work: weakref.ref[Upload]

    def ModifyFile(self, requests: Iterator[Any], context: Any) -> Any:
        upload = Upload()
        self.work = weakref.ref(upload)
        return [upload, *requests]


def test_what_a_call_was_at_that_broke_off_goes_with_it() -> None:
    kept: list[grpc.RpcError] = []

    def requests() -> Iterator[Any]:
        kept.append(grpc.RpcError())  # gRPC keeps its own errors with the state of the call
        raise kept[0]
        yield

    files = Files()
    called = SimpleNamespace(method="/pfs_v2.API/ModifyFile", invocation_metadata=())
    (handler,) = filter(None, (each.service(called) for each in make_handlers({"pfs_v2.API": files})))
    gc.disable()  # what is only freed with a cycle of references would stay for hours
    try:
        with pytest.raises(RuntimeError, match="the caller has gone"):
            handler.stream_unary(requests(), Gone())
        assert kept
        assert files.work() is None
    finally:
        gc.enable()
