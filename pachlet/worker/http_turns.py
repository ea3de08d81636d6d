"""Follow the HTTP messages on one connection, to know when it is between two of them.

A keep-alive connection of a client outlives the process that answers it, if each of its requests goes to the process
that is to answer now. That can change only between an answer and the next request, and where that is, is a matter of
HTTP/1.1's framing; nothing that passes is changed here. What is no HTTP/1.1 (gRPC, a database's protocol), or stops
being it (a web socket), has no such place that we know of.

Read next: forwarding.py (who moves connections).
"""

from __future__ import annotations

from collections import deque

import httptools

_SWITCHING = 101


class Turns:
    """What is known of one connection."""

    def __init__(self) -> None:
        self.is_http = True
        """False for good from the first byte on that is no part of an HTTP/1.1 message."""
        self.is_fresh = True
        """Nothing was said yet."""
        self._requests = httptools.HttpRequestParser(_Requests(self))
        self._answers = httptools.HttpResponseParser(_Answers(self))
        self._is_asking = False
        self._unanswered: deque[str] = deque()
        """The methods of the requests that have begun and whose answers have not ended."""
        self._has_only_head = False
        self._keeps_alive = True

    @property
    def is_between(self) -> bool:
        """Tell whether every request that began has ended, and been answered to the end."""
        return self.is_http and not self._is_asking and not self._unanswered

    @property
    def may_go_on(self) -> bool:
        """Tell whether the client expects to be answered here again, though its server has closed the connection."""
        return self.is_between and not self.is_fresh and self._keeps_alive

    def client_said(self, data: bytes) -> None:
        """Take what the client sent."""
        self.is_fresh = False
        self._feed(self._requests, data)

    def server_said(self, data: bytes) -> None:
        """Take what the server sent."""
        if self.is_fresh:
            self.is_http = False  # an HTTP server never speaks first
        self.is_fresh = False
        self._feed(self._answers, data)
        if self._has_only_head:
            # The parser waits for the body that an answer to HEAD speaks of and does not have.
            self._has_only_head = False
            self._answers = httptools.HttpResponseParser(_Answers(self))

    def _feed(self, parser: httptools.HttpRequestParser | httptools.HttpResponseParser, data: bytes) -> None:
        if self.is_http:
            try:
                parser.feed_data(data)
            except (httptools.HttpParserError, httptools.HttpParserUpgrade):
                self.is_http = False

    def begin_request(self, method: str) -> None:
        """Take the end of a request's head."""
        self._unanswered.append(method)

    def begin_asking(self) -> None:
        """Take the beginning of a request."""
        self._is_asking = True

    def end_asking(self) -> None:
        """Take the end of a request."""
        self._is_asking = False

    def end_head(self, status: int) -> None:
        """Take the end of an answer's head."""
        if status == _SWITCHING:
            self.is_http = False
        elif status >= 200 and self._unanswered and self._unanswered[0] == "HEAD":
            self._has_only_head = True
            self._unanswered.popleft()

    def end_answer(self, status: int, *, keeps_alive: bool) -> None:
        """Take the end of an answer; one below 200 is a remark on the way to the answer."""
        self._keeps_alive = self._keeps_alive and (keeps_alive or status < 200)
        if status >= 200 and self._unanswered and not self._has_only_head:
            self._unanswered.popleft()


class _Requests:
    """What the parser of requests calls."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns

    def on_message_begin(self) -> None:
        self._turns.begin_asking()

    def on_headers_complete(self) -> None:
        self._turns.begin_request(self._turns._requests.get_method().decode())

    def on_message_complete(self) -> None:
        self._turns.end_asking()


class _Answers:
    """What the parser of answers calls."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns

    def on_headers_complete(self) -> None:
        self._turns.end_head(self._turns._answers.get_status_code())

    def on_message_complete(self) -> None:
        answers = self._turns._answers
        self._turns.end_answer(answers.get_status_code(), keeps_alive=answers.should_keep_alive())
