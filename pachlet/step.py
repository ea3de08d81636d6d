"""What a step needs to be run: its folders, how it fails, and datum after datum where it asks for that.

A step is a function `run(inputs, out)`: it reads `inputs/<input name>/...` and writes into `out`. That is all
it has to know, so its code runs the same under pachlet, in a container, on a Pachyderm cluster and in a test.
This module is copied into step images alone, so it needs nothing but the standard library; gRPC is imported
only by a step that asks for batching, because a heavy import (TensorFlow) is then paid once per worker and
not once per datum.

Read next: steps/ (the steps that use it), worker/batching.py (who answers NextDatum).
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

Run = Callable[[Path, Path], None]

_PORT = "PPS_WORKER_GRPC_PORT"
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
    import grpc

    with grpc.insecure_channel(f"127.0.0.1:{os.environ[_PORT]}") as channel:
        next_datum = channel.unary_unary(_NEXT_DATUM, encode_error, decode_env)
        error, datum = "", dict[str, str]()
        while True:
            try:
                environ = next_datum(error)
            except grpc.RpcError as refusal:
                if _detail(refusal) == _NOT_ENABLED:
                    return False
                raise
            for name in datum:
                os.environ.pop(name, None)
            datum = dict(line.split("=", 1) for line in environ)
            os.environ.update(datum)
            error = _attempt(run)


def _detail(refusal: Any) -> str:
    return str(refusal.details())


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
