"""A mail server and a receiver of webhooks for tests, on loopback: what they get is in a queue.

Read next: acceptance/test_notify.py.
"""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

LONG = 60
"""Seconds after which a test that waits for a letter is broken."""


class MailServer:
    """What came, and with what it answers the next mails before it accepts them again."""

    def __init__(self) -> None:
        self.mails: queue.Queue[EmailMessage] = queue.Queue()
        self.answers: list[str] = []
        self.logins: list[tuple[bytes, bytes]] = []
        self.host, self.port = "", 0

    @property
    def at(self) -> str:
        return f"{self.host}:{self.port}"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.answers:
            return self.answers.pop(0)
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        mail["X-Recipients"] = ",".join(envelope.rcpt_tos)
        self.mails.put(mail)
        return "250 taken"

    def next(self) -> EmailMessage:
        return self.mails.get(timeout=LONG)


class _AnyPort(Controller):
    """A controller that takes a free port, and knows which before it tries whether it serves."""

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@contextmanager
def mail_server(*, login: tuple[str, str] | None = None, host: str = "127.0.0.1") -> Iterator[MailServer]:
    """Serve SMTP; with `login`, only to who knows the user and the password."""
    handler = MailServer()

    def authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        handler.logins.append((data.login, data.password))
        is_known = login is not None and (data.login, data.password) == _bytes(login)
        return AuthResult(success=is_known, handled=is_known)  # what is not handled is answered 535

    controller = _AnyPort(
        handler,
        hostname=host,
        port=0,
        auth_required=login is not None,
        auth_require_tls=False,
        authenticator=authenticate,
        server_hostname="mail.test",
    )
    controller.start()
    handler.host, handler.port = controller.hostname, controller.port
    try:
        yield handler
    finally:
        controller.stop()


def _bytes(login: tuple[str, str]) -> tuple[bytes, bytes]:
    return login[0].encode(), login[1].encode()


class Receiver:
    """The posts that came, each with its headers, and the statuses of the next answers."""

    def __init__(self) -> None:
        self.posts: queue.Queue[tuple[dict[str, str], Any]] = queue.Queue()
        self.statuses: list[int] = []
        self.url = ""

    def next(self) -> tuple[dict[str, str], Any]:
        return self.posts.get(timeout=LONG)


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Serve HTTP and take every POST."""
    received = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status = received.statuses.pop(0) if received.statuses else 200
            if status == 200:
                received.posts.put(({**self.headers}, body))
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    received.url = f"http://127.0.0.1:{server.server_address[1]}/hooks/secret"
    try:
        yield received
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
