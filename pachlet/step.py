"""What a step needs to be run: its folders, how it fails, and datum after datum where it asks for that.

A step is a function `run(inputs, out)`: it reads `inputs/<input name>/...` and writes into `out`. That is all
it has to know, so its code runs the same under pachlet, in a container, on a Pachyderm cluster and in a test.
This module is copied into step images alone, so it needs nothing but the standard library. A step that asks for
batching, because a heavy import (TensorFlow) is then paid once per worker and not once per datum, asks a worker of
pachlet in lines of JSON; only where there is none is gRPC imported.

Read next: steps/ (the steps that use it), worker/batching.py (who answers NextDatum).
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

Run = Callable[[Path, Path], None]

_PORT = "PPS_WORKER_GRPC_PORT"
_LINES_PORT = "PACHLET_DATUMS_PORT"
_HELLO = b"pachlet datums 1\n"
_NEXT_DATUM = "/pachyderm.worker.Worker/NextDatum"
_NOT_ENABLED = "datum batching not enabled"


class BadInput(Exception):
    """The data can't be processed; the message is a sentence for whoever put it there."""


def main(run: Run, *, batching: bool = False) -> None:
    """Run the step on the datum in /pfs (or $PFS_ROOT); exits 1 if the step fails.

    With `batching`, ask the worker for datum after datum, if it offers that (the spec's `datum_batching`).
    """
    if batching and _PORT in os.environ and _serve(run):
        return
    if _attempt(run):
        sys.exit(1)


def _attempt(run: Run) -> str:
    """Run the step once; tell on stderr what went wrong, and return it as one line (empty if nothing did)."""
    inputs = Path(os.environ.get("PFS_ROOT", "/pfs"))
    try:
        run(inputs, inputs / "out")
    except BadInput as problem:
        sys.stdout.flush()  # so that the log has what was said before in its place
        print(problem, file=sys.stderr)
        error = str(problem)
    except Exception as problem:
        import traceback  # a process for each datum starts sooner without

        sys.stdout.flush()
        traceback.print_exc()
        error = traceback.format_exception_only(problem)[-1]
    else:
        error = ""
    sys.stdout.flush()
    sys.stderr.flush()
    return " ".join(error.split())


def _serve(run: Run) -> bool:
    """Run the step on each datum that the worker hands over; return False if it hands over none.

    After the last datum the worker does not answer any more and ends this process.
    """
    with _asking_in_lines() if _LINES_PORT in os.environ else _asking_by_grpc() as next_datum:
        error, datum = "", dict[str, str]()
        while True:
            environ = next_datum(error)
            if environ is None:
                return False
            for name in datum:
                os.environ.pop(name, None)
            datum = dict(line.split("=", 1) for line in environ)
            os.environ.update(datum)
            error = _attempt(run)


NextDatum = Callable[[str], list[str] | None]
"""Reports an error (none: '') and returns the next datum's variables; None if the worker hands over no datums."""


@contextmanager
def _asking_in_lines() -> Iterator[NextDatum]:
    """Ask pachlet's own workers, who save a step the import of gRPC."""
    with (
        socket.create_connection(("127.0.0.1", int(os.environ[_LINES_PORT]))) as connection,
        connection.makefile("rwb") as lines,
    ):
        lines.write(_HELLO)

        def next_datum(error: str) -> list[str] | None:
            lines.write(json.dumps({"error": error}).encode() + b"\n")
            lines.flush()
            answer = json.loads(lines.readline() or b'{"refusal": "the worker is gone"}')
            if "env" in answer:
                return list(answer["env"])
            if answer["refusal"] == _NOT_ENABLED:
                return None
            raise ConnectionError(answer["refusal"])

        yield next_datum


@contextmanager
def _asking_by_grpc() -> Iterator[NextDatum]:
    """Ask any worker, a Pachyderm cluster's too."""
    import grpc

    with grpc.insecure_channel(f"127.0.0.1:{os.environ[_PORT]}") as channel:
        call = channel.unary_unary(_NEXT_DATUM, encode_error, decode_env)

        def next_datum(error: str) -> list[str] | None:
            try:
                return list(call(error))
            except grpc.RpcError as refusal:
                if str(refusal.details()) == _NOT_ENABLED:
                    return None
                raise

        yield next_datum


def encode_error(error: str) -> bytes:
    """Encode a NextDatumRequest: field 1, a string."""
    text = error.encode()
    return b"" if not text else b"\x0a" + _varint(len(text)) + text


def decode_env(message: bytes) -> list[str]:
    """Decode a NextDatumResponse: field 1, repeated strings (NAME=value)."""
    lines: list[str] = []
    at = 0
    while at < len(message):
        if message[at] != 0x0A:
            raise ValueError(f"NextDatumResponse: unexpected tag {message[at]}")
        size, shift, at = 0, 0, at + 1
        while True:
            size |= (message[at] & 0x7F) << shift
            shift, at = shift + 7, at + 1
            if message[at - 1] < 0x80:
                break
        lines.append(message[at : at + size].decode())
        at += size
    return lines


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
