"""An exchange for tests, on loopback: daily candles as Coinbase Exchange answers them, and trouble where asked for.

Read next: steps/test_fetch.py, ../steps/crypto/fetch.py.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

CUT = -1


class Exchange:
    """Its products by name, each with the day of its first candle; what it was asked, and how it fails."""

    def __init__(self) -> None:
        self.first: dict[str, date] = {}
        self.asked: list[tuple[str, str, str]] = []
        self.trouble: list[int | bytes] = []
        """Statuses of the next answers, or bodies; 0 ends the connection, CUT ends it in the middle of an answer."""
        self.retry_after = ""
        """What an answer of trouble asks to wait."""
        self.url = ""


def candle(product: str, day: date) -> list[float]:
    """Return [time, low, high, open, close, volume] of a day, made up from the product's name and the date."""
    close = 100.0 * len(product) + (day.toordinal() * 7 + sum(product.encode())) % 50
    time = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
    return [time, close - 2, close + 2, close - 1, close, 3.5]


def too_many(start: str, end: str) -> bool:
    """Whether a span has more days than one answer may hold."""
    return (date.fromisoformat(end) - date.fromisoformat(start)).days + 1 > 300


@contextmanager
def exchange() -> Iterator[Exchange]:
    """Serve it on a free port."""
    here = Exchange()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = parse_qs(parts.query)
            product = parts.path.split("/")[2]
            start, end = query["start"][0][:10], query["end"][0][:10]
            here.asked.append((product, start, end))
            trouble = here.trouble.pop(0) if here.trouble else None
            if trouble == 0:
                self.close_connection = True
                return
            if isinstance(trouble, bytes):
                self._answer(200, trouble)
            elif trouble == CUT:
                body = json.dumps(self._candles(product, start, end)).encode()
                self._answer(200, body[: len(body) // 2], length=len(body))
                self.close_connection = True
            elif too_many(start, end):
                message = "granularity too small for the requested time range"
                self._answer(400, json.dumps({"message": message}).encode())
            elif trouble is not None or product not in here.first:
                self._answer(trouble or 404, b'{"message": "NotFound"}')
            else:
                self._answer(200, json.dumps(self._candles(product, start, end)).encode())

        def _candles(self, product: str, start: str, end: str) -> list[list[float]]:
            """The days of the span, and one before and after it: the exchange may give more than asked for."""
            day, rows = date.fromisoformat(start) - timedelta(days=1), []
            while day <= date.fromisoformat(end) + timedelta(days=1):
                if day >= here.first[product]:
                    rows.append(candle(product, day))
                day += timedelta(days=1)
            return rows[::-1]

        def _answer(self, status: int, body: bytes, length: int | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(body) if length is None else length))
            if status != 200 and here.retry_after:
                self.send_header("Retry-After", here.retry_after)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    here.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield here
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
