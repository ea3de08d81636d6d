"""A small HTTP server that hands out chunks to whoever has a URL that we made.

ReadFilesetCDR answers with URLs instead of bytes, and clients fetch what they lack. The door opens on this machine
only, on a port of its own, when the first URL is made. A URL names one chunk, tells until when it is good, and is
signed with a secret that ends with the process.

Read next: storage_fileset_service.py.
"""

from __future__ import annotations

import functools
import hmac
import logging
import secrets
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pachlet.clock import Clock
from pachlet.errors import FailedPrecondition, PachletError
from pachlet.storage.chunks import ChunkStore

log = logging.getLogger(__name__)

GOOD_FOR = 24 * 3600
"""Seconds."""
_NANOS = 1_000_000_000
_LOOK_FOR_END = 0.1  # seconds
_PATIENCE = 60.0  # seconds, with a caller who says nothing


class ChunkDoor:
    """Makes URLs of chunks and answers them."""

    def __init__(self, store: ChunkStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._secret = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    def url(self, chunk: bytes) -> str:
        """Return a URL at which the bytes of a chunk can be had for a while."""
        until = self._clock.now() // _NANOS + GOOD_FOR
        name = chunk.hex()
        return f"http://127.0.0.1:{self._port()}/{name}?until={until}&signature={self._sign(name, until)}"

    def read(self, target: str) -> tuple[int, bytes]:
        """Return status and body for the target of a request."""
        try:
            parts = urlsplit(target)
            asked = parse_qs(parts.query, max_num_fields=8)
        except ValueError:
            return 400, b"this is no URL\n"
        name, until, signature = parts.path[1:], asked.get("until", [""])[0], asked.get("signature", [""])[0]
        if not (until.isascii() and until.isdigit() and len(until) < 20):
            return 403, b"this URL was not made by this server\n"
        if not hmac.compare_digest(signature.encode(), self._sign(name, int(until)).encode()):
            return (
                403,
                b"this URL was not made by this server, or before it was restarted; ask for a new one\n",
            )
        if int(until) * _NANOS < self._clock.now():
            return 403, b"this URL has expired; ask for a new one\n"
        try:
            return 200, self._store.read(bytes.fromhex(name))
        except PachletError as error:
            return 410, f"{error}\n".encode()

    def close(self) -> None:
        """Shut the door; URLs that were made are of no use any more."""
        with self._lock:
            server, self._server = self._server, None
        if server is not None and self._thread is not None:
            server.shutdown()
            server.server_close()
            self._thread.join()

    def _sign(self, name: str, until: int) -> str:
        return hmac.digest(self._secret, f"{name} {until}".encode(), "sha256").hex()

    def _port(self) -> int:
        with self._lock:
            if self._server is None:
                self._server = self._open()
            return int(self._server.server_address[1])

    def _open(self) -> ThreadingHTTPServer:
        try:
            server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Handler, self.read))
        except OSError as error:
            raise FailedPrecondition(
                f"no port for handing out chunks can be opened: {error.strerror}",
                hint="read the file set with ReadFileset instead",
            ) from error
        server.daemon_threads = True
        self._thread = threading.Thread(
            target=server.serve_forever, args=(_LOOK_FOR_END,), name="chunk-door", daemon=True
        )
        self._thread.start()
        return server


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD."""

    protocol_version = "HTTP/1.1"
    server_version = "pachlet"
    sys_version = ""
    timeout = _PATIENCE

    def __init__(self, read: Callable[[str], tuple[int, bytes]], *args: Any) -> None:
        self._read = read
        super().__init__(*args)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def log_message(self, format: str, *args: Any) -> None:
        log.debug(format, *args)

    def _answer(self, *, with_body: bool) -> None:
        status, body = self._read(self.path)
        self.send_response(status)
        kind = "application/octet-stream" if status == 200 else "text/plain; charset=utf-8"
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)
