"""Make gRPC handlers of services: decode, call, map errors, strip what a caller must not see.

Every RPC of the schema is registered, whether we implement it or not, so that a client always gets an answer that
names what is missing.

Read next: names.py, pfs_service.py.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias

import grpc
from google.protobuf.message import DecodeError

from pachlet.api.admission import Admission
from pachlet.api.callers import sees_branches, strip_branches
from pachlet.api.part_count import MOST, has_too_many_parts
from pachlet.api.validation import validate
from pachlet.errors import InvalidArgument, PachletError, ResourceExhausted, Unimplemented
from pachlet.metadb.changes import Closed
from pachlet.wire import schema

log = logging.getLogger(__name__)

Context: TypeAlias = grpc.ServicerContext
_Admitted: TypeAlias = Callable[[], AbstractContextManager[None]]
_HALF_TEXT = 750  # bytes, each of which may take three in the header


def make_handlers(
    implementations: Mapping[str, object], admission: Admission | None = None
) -> list[grpc.GenericRpcHandler]:
    """Return a handler for every RPC of the schema; `implementations` has a service by the name of its API."""
    admission = admission or Admission()
    return [
        grpc.method_handlers_generic_handler(
            service.full_name,
            {
                each.name: _handler(service.full_name, each, implementations, admission)
                for each in service.methods
            },
        )
        for service in schema.services()
    ]


def is_implemented(implementation: object, method: str) -> bool:
    """Tell whether a service answers an RPC (docs/coverage.md is made with this)."""
    return hasattr(implementation, method)


def _handler(
    service: str, method: schema.Method, implementations: Mapping[str, object], admission: Admission
) -> grpc.RpcMethodHandler:
    found = getattr(implementations.get(service), method.name, None)
    answer = _validated(method, found) if found else _unimplemented(service, method.name)
    make = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }[method.client_streaming, method.server_streaming]
    is_stream = method.client_streaming or method.server_streaming
    wrap = _streaming if method.server_streaming else _single
    call = wrap(f"{service}/{method.name}", answer, lambda: admission.call(is_stream=is_stream))
    return make(call, _reader(method), method.response.SerializeToString)


@dataclass(frozen=True)
class _Unreadable:
    """Stands for bytes that are not read; whoever asks for the request gets the error."""

    error: PachletError


def _reader(method: schema.Method) -> Callable[[bytes], Any]:
    """Return what reads a request; gRPC would write an exception into the log for each that can't be read."""
    descriptor = method.request.DESCRIPTOR

    def read(data: bytes) -> Any:
        if has_too_many_parts(data, descriptor):
            error = f"the request has more than {MOST} parts, more than a {descriptor.full_name} may have"
            return _Unreadable(ResourceExhausted(error, hint="send it in several requests"))
        try:
            return method.request.FromString(data)
        except DecodeError:
            error = f"error unmarshalling request: it is no {descriptor.full_name}"
            return _Unreadable(InvalidArgument(error))

    return read


def _validated(method: schema.Method, answer: Callable[[Any, Context], Any]) -> Callable[[Any, Context], Any]:
    """Wrap what answers an RPC so that it sees only requests that keep to the schema's constraints."""
    is_stream = method.client_streaming or method.server_streaming
    prefix = "validate recv" if is_stream else "validate request"

    def checked(request: Any) -> Any:
        if isinstance(request, _Unreadable):
            raise request.error
        validate(request, prefix)
        return request

    def call(request: Any, context: Context) -> Any:
        return answer(map(checked, request) if method.client_streaming else checked(request), context)

    return call


INSTEAD = {
    # Pachyderm passes what is asked of it on to Loki, of which there is none here.
    "logs.API/GetLogs": "pps_v2.API/GetLogs has the lines of pipelines, jobs and datums, as `pachctl logs` shows"
}
"""What to call in the place of an RPC that is not there."""


def _unimplemented(service: str, method: str) -> Callable[[Any, Context], Any]:
    hint = INSTEAD.get(f"{service}/{method}", "")

    def answer(request: Any, context: Context) -> Any:
        raise Unimplemented(f"{service}/{method} is not implemented by pachlet", hint=hint)

    return answer


def _single(
    name: str, answer: Callable[[Any, Context], Any], admitted: _Admitted
) -> Callable[[Any, Context], Any]:
    def call(request: Any, context: Context) -> Any:
        try:
            with admitted():
                response = answer(request, context)
        except Exception as error:
            _fail(context, name, error)
        return response if sees_branches(context) else strip_branches(response)

    return call


def _streaming(
    name: str, answer: Callable[[Any, Context], Iterator[Any]], admitted: _Admitted
) -> Callable[[Any, Context], Iterator[Any]]:
    def call(request: Any, context: Context) -> Iterator[Any]:
        is_stripped = not sees_branches(context)
        try:
            with admitted():
                for response in answer(request, context):
                    yield strip_branches(response) if is_stripped else response
        except Exception as error:
            _fail(context, name, error)

    return call


def _fail(context: Context, name: str, error: Exception) -> NoReturn:
    has_gone = not context.is_active()
    if not (has_gone or isinstance(error, PachletError | Closed)):
        log.exception("%s failed; this is a bug of pachlet", name)
    _let_go(error)
    if isinstance(error, PachletError):
        if error.hint:
            context.set_trailing_metadata((("pachlet-hint-bin", _cut(error.hint).encode()),))
        context.abort(getattr(grpc.StatusCode, error.code), _cut(error.message))
    if isinstance(error, Closed):
        context.abort(grpc.StatusCode.UNAVAILABLE, "the server stops")
    if has_gone:
        context.abort(grpc.StatusCode.CANCELLED, "the caller has gone")
    text = f"{name} failed: {type(error).__name__}: {error}; this is a bug of pachlet, its log says where"
    context.abort(grpc.StatusCode.INTERNAL, _cut(text))
    raise AssertionError("abort always raises")


def _let_go(error: BaseException) -> None:
    """Free what a call was at, such as an upload whose chunks are no garbage while it lives, before its caller knows.

    A caller that was told that the disk is full would find it as full in its next call. And gRPC keeps the error by
    which it said that a stream broke off.
    """
    todo: list[BaseException | None] = [error]
    while todo:
        each = todo.pop()
        if each is not None and each.__traceback__ is not None:
            each.__traceback__ = None
            todo += each.__cause__, each.__context__


def _cut(text: str) -> str:
    """Shorten the middle of a text that repeats a huge name: headers beyond 8 KiB are refused by clients."""
    encoded = text.encode()
    if len(encoded) <= 2 * _HALF_TEXT:
        return text
    start, end = encoded[:_HALF_TEXT], encoded[-_HALF_TEXT:]
    return f"{start.decode(errors='ignore')} ... {end.decode(errors='ignore')}"
