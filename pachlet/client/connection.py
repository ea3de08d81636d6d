"""Call the RPCs of one server.

Requests are plain dicts (or messages) and answers are protobuf messages; the schema says which. Errors leave
as `PachletError` with the server's sentence and no gRPC wrapping, so that scripts and the command line show
the same words. grpc is imported at the first call: it costs more than the rest of a short command together.

Read next: names.py (how requests' nested names are made), synchronous.py (what of grpc is imported), repos.py (the
simplest verbs).
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

from pachlet import errors
from pachlet.client.staged import STAGED
from pachlet.client.synchronous import import_grpc
from pachlet.paths import DEFAULT_PROJECT

MESSAGE_LIMIT = 20 * 1024 * 1024  # what servers and clients agree on, both ways
PAYLOAD_LIMIT = (
    19 * 1024 * 1024
)  # the most bytes of a file in one message, which leaves room for the rest of it
DEFAULT_PORT = 30650
COMMIT_KEY = "pachlet-commit"  # the trailing metadata in which a pachlet server says which commit it wrote to
HINT_KEY = "pachlet-hint-bin"  # the trailing metadata in which a pachlet server sends the next step
WARNING_KEY = "pachlet-warning-bin"  # and that in which it says what it will not heed
CONNECT_HINT = "start one with `pachlet serve`, or choose another with `pachctl connect HOST:PORT`"
CUT_HINT = (
    "once it is started again with `pachlet serve`, jobs go on where they were; then look, or try again"
)

Request = Mapping[str, Any]
Metadata = Sequence[tuple[str, str]]
Message = Any  # classes are made from the schema at run time, so there is no type to name

_ADDRESS = re.compile(
    r"(?:(?P<scheme>grpcs?|https?)://)?(?P<host>\[[^\]]+\]|[^/:\[\]]+)(?::(?P<port>\d{1,5}))?/?"
)
_PREFIX = re.compile(r"^rpc error: code = \w+ desc = ")
# What grpc says when nobody answers; a server's own UNAVAILABLE ("commit not finished") says none of this.
_UNREACHABLE = re.compile(
    r"failed to connect|connection refused|name resolution|dns resolution|lookup failed|no route|connection reset"
    r"|handshak|socket closed|connection attempt timed out|tcp handshaker|endpoint closing|stream removed"
    r"|goaway|recvmsg|broken pipe|unreachable|cancelling all calls",
    re.IGNORECASE,
)
_CUT = re.compile(
    r"socket closed|connection reset|recvmsg|broken pipe|stream removed|endpoint closing|goaway"
    r"|cancelling all calls",
    re.IGNORECASE,
)
"""What of it is said of a connection that was there."""
_ERRORS: dict[str, type[errors.PachletError]] = {
    "INVALID_ARGUMENT": errors.InvalidArgument,
    "NOT_FOUND": errors.NotFound,
    "ALREADY_EXISTS": errors.AlreadyExists,
    "FAILED_PRECONDITION": errors.FailedPrecondition,
    "UNAVAILABLE": errors.Unavailable,
    "UNIMPLEMENTED": errors.Unimplemented,
    "DATA_LOSS": errors.Corrupt,
    "RESOURCE_EXHAUSTED": errors.ResourceExhausted,
    "DEADLINE_EXCEEDED": errors.Unavailable,
}


class Address:
    """Where a server listens: `host:port`, and whether the way there is encrypted."""

    def __init__(self, text: str) -> None:
        match = _ADDRESS.fullmatch(text.strip())
        if match is None or int(match["port"] or 0) > 65535:
            raise errors.Usage(
                f"{text!r} is no address of a server",
                hint="write HOST:PORT or grpc://HOST:PORT, for example 127.0.0.1:30650",
            )
        self.secure = match["scheme"] in ("grpcs", "https")
        self.host = match["host"]
        self.port = int(match["port"] or DEFAULT_PORT)

    @property
    def is_local(self) -> bool:
        return self.host in ("localhost", "[::1]") or self.host.startswith("127.")

    @property
    def url(self) -> str:
        """The spelling that Pachyderm's clients keep in their configuration."""
        return f"{'grpcs' if self.secure else 'grpc'}://{self}"

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Connection:
    """One server, and the project that names belong to unless they say otherwise.

    With a `transaction`, what can wait in one is added to it instead of done. `timeout` holds for each call.
    Nothing is sent before the first call. A connection may be shared by threads.
    """

    def __init__(
        self,
        address: str,
        *,
        project: str = DEFAULT_PROJECT,
        token: str = "",
        transaction: str = "",
        certificates: bytes | None = None,
        timeout: float | None = None,
    ) -> None:
        self.address = Address(address)
        self.project = project
        self.transaction = transaction
        self.staged = 0
        """How many requests were added to the transaction so far."""
        self.on_warning: Callable[[str], None] = lambda text: None
        """Gets what a pachlet server says beside an answer."""
        self.is_pachlet: bool | None = None
        """Whether the server is a pachlet, once somebody has asked (cluster.py)."""
        self.while_calling: Callable[[], AbstractContextManager[object]] = nullcontext
        """What is entered around each call, until its first answer."""
        self._timeout = timeout
        self._metadata = [("authn-token", token)] if token else []
        self._certificates = certificates
        self._open: Any = None
        self._opening = threading.Lock()

    def call(
        self,
        service: str,
        method: str,
        request: Request | Message,
        *,
        timeout: float | None = None,
        metadata: Metadata = (),
    ) -> Any:
        """Call a method that takes one request; return its answer, or an iterator over its answers."""
        about = _method(service, method)
        prepared = as_message(service, method, request)
        if about.server_streaming:
            return self._stream(service, about, prepared, timeout, metadata)
        stub = self._channel().unary_unary(
            f"/{service}/{method}", about.request.SerializeToString, about.response.FromString
        )
        sent, staged = [*self._metadata, *metadata], bool(self.transaction) and (service, method) in STAGED
        if staged:
            sent.append(("pach-transaction", self.transaction))
        with self.while_calling():
            answer, done = self._finish(
                lambda: stub.with_call(prepared, timeout=timeout or self._timeout, metadata=sent)
            )
        self.staged += staged
        if warning := dict(done.trailing_metadata() or ()).get(WARNING_KEY):
            for line in warning.decode(errors="replace").splitlines():
                self.on_warning(line)
        return answer

    def send(
        self,
        service: str,
        method: str,
        requests: Iterable[Request | Message],
        *,
        compress: bool = False,
        metadata: Metadata = (),
        told: dict[str, Any] | None = None,
    ) -> Message:
        """Call a method that takes a stream of requests; return its one answer. `told` gets what goes with it.

        If `requests` raises, the call is cancelled before its end is seen by the server, so that half a
        stream never counts as a whole one, and the exception goes to the caller.
        """
        about = _method(service, method)
        stub = self._channel().stream_unary(
            f"/{service}/{method}", about.request.SerializeToString, about.response.FromString
        )
        source = _Source(as_message(service, method, request) for request in requests)
        call = stub.future(
            source,
            timeout=self._timeout,
            metadata=[*self._metadata, *metadata],
            compression=_gzip() if compress else None,
        )
        source.tie(call)
        try:
            with self.while_calling():
                answer = self._finish(call.result)
            if told is not None:
                told.update(call.trailing_metadata() or ())
            return answer
        except BaseException:
            call.cancel()
            if source.error is not None:
                raise source.error from None
            raise

    def close(self) -> None:
        """Let the connection go; a later call opens it again."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _stream(
        self, service: str, about: Any, request: Message, timeout: float | None, metadata: Metadata
    ) -> Iterator[Message]:
        stub = self._channel().unary_stream(
            f"/{service}/{about.name}", about.request.SerializeToString, about.response.FromString
        )
        sent = [*self._metadata, *metadata]
        answers = stub(request, timeout=timeout or self._timeout, metadata=sent)
        return self._answers(answers)

    def _answers(self, answers: Any) -> Iterator[Message]:
        try:
            with self.while_calling():
                answer = self._finish(lambda: next(answers, None))
            while answer is not None:
                yield answer
                answer = self._finish(lambda: next(answers, None))
        finally:
            answers.cancel()  # a caller that stops reading tells the server

    def _finish(self, act: Callable[[], Any]) -> Any:
        grpc = import_grpc()
        try:
            return act()
        except (grpc.RpcError, grpc.FutureCancelledError) as error:
            raise self._translate(error) from None

    def _translate(self, error: Any) -> errors.PachletError:
        code = error.code().name if hasattr(error, "code") else "CANCELLED"
        text = _PREFIX.sub("", (error.details() if hasattr(error, "details") else "") or "")
        if code == "UNAVAILABLE" and _UNREACHABLE.search(text):
            if _CUT.search(text) and "failed to connect" not in text.lower():
                return errors.Unavailable(
                    f"the server at {self.address} ended before it answered", hint=CUT_HINT
                )
            return errors.Unavailable(f"no server at {self.address}", hint=CONNECT_HINT)
        kind = _ERRORS.get(code, errors.Refused)
        hints = dict(error.trailing_metadata() or ()) if hasattr(error, "trailing_metadata") else {}
        failure = kind(
            text or f"the server at {self.address} answered {code} without a word",
            hint=hints.get(HINT_KEY, b"").decode(errors="replace"),
        )
        failure.code = code
        return failure

    def _channel(self) -> Any:
        with self._opening:
            if self._open is None:
                self._open = self._make_channel()
            return self._open

    def _make_channel(self) -> Any:
        grpc = import_grpc()
        options: list[tuple[str, Any]] = [
            ("grpc.max_send_message_length", MESSAGE_LIMIT),
            ("grpc.max_receive_message_length", MESSAGE_LIMIT),
            ("grpc.primary_user_agent", "pachlet"),
        ]
        if self.address.is_local:
            options.append(("grpc.enable_http_proxy", 0))  # a proxy can't reach this machine's loopback
        if self.address.secure:
            credentials = grpc.ssl_channel_credentials(self._certificates)
            return grpc.secure_channel(str(self.address), credentials, options)
        return grpc.insecure_channel(str(self.address), options)


class _Source:
    """Requests on their way out, read by a thread of grpc's.

    grpc would log a traceback for an iterator that raises, and would take a quiet end for the end of the
    stream. So an error is kept for the caller, and the call is cancelled before the end is told.
    """

    def __init__(self, requests: Iterator[Message]) -> None:
        self._requests = requests
        self._tied = threading.Event()
        self._call: Any = None
        self.error: BaseException | None = None

    def tie(self, call: Any) -> None:
        """Say which call to cancel when reading goes wrong."""
        self._call = call
        self._tied.set()

    def __iter__(self) -> _Source:
        return self

    def __next__(self) -> Message:
        try:
            return next(self._requests)
        except StopIteration:
            raise
        except BaseException as error:
            self.error = error
            self._tied.wait()
            self._call.cancel()
            raise StopIteration from None


@cache
def _method(service: str, name: str) -> Any:
    from pachlet.wire import schema

    return schema.method(service, name)  # a KeyError is a bug: the schema is ours


def as_message(service: str, method: str, request: Request | Message) -> Message:
    """Return a request as the message that its method takes."""
    if not isinstance(request, Mapping):
        return request
    try:
        return _method(service, method).request(**request)
    except UnicodeEncodeError as error:
        raise no_text(error) from None
    except ValueError as error:  # a number that is too large
        raise errors.Usage(f"what was given can't be sent: {error}") from None


def no_text(error: UnicodeEncodeError) -> errors.Usage:
    """Return the error of something given whose bytes are no text in UTF-8, as a name on the command line may be."""
    shown = os.fsencode(error.object).decode(errors="backslashreplace")
    return errors.Usage(f"{shown} is not text in UTF-8")


def _gzip() -> Any:
    return import_grpc().Compression.Gzip
