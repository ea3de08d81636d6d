"""The forwarder: a change of the process behind a port loses no request and breaks off no connection that can move."""

from __future__ import annotations

import http.client
import http.server
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from pachlet.errors import FailedPrecondition
from pachlet.worker.forwarding import Backend, Forwarder, Forwarding
from pachlet.worker.http_turns import Turns

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        assert isinstance(self.server, Web)
        self.server.asked.set()
        if self.path == "/slow":
            self.server.go_on.wait()
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.name)))
        self.end_headers()
        self.wfile.write(self.server.name)

    def log_message(self, *_: object) -> None:
        pass


class Web(http.server.ThreadingHTTPServer):
    """A web server that says its name."""

    request_queue_size = 100

    def __init__(self, name: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.name = name
        self.asked = threading.Event()
        self.go_on = threading.Event()
        self.thread = threading.Thread(target=lambda: self.serve_forever(poll_interval=0.01))
        self.thread.start()
        self.backend = Backend(lambda: begin(self.server_port))

    def end(self) -> None:
        self.shutdown()
        self.thread.join()
        self.server_close()


def begin(port: int) -> socket.socket:
    made = socket.socket()
    made.setblocking(False)
    made.connect_ex(("127.0.0.1", port))
    return made


@pytest.fixture
def forwarder() -> Iterator[Forwarder]:
    forwarding = Forwarding()
    made = forwarding.listen(0)
    yield made
    made.close()
    forwarding.close()


@pytest.fixture
def web() -> Iterator[Callable[[bytes], Web]]:
    made: list[Web] = []

    def start(name: bytes) -> Web:
        made.append(Web(name))
        return made[-1]

    yield start
    for each in made:
        if each.thread.is_alive():
            each.go_on.set()
            each.end()


def get(client: http.client.HTTPConnection, path: str = "/") -> bytes:
    client.request("GET", path)
    return client.getresponse().read()


def connect(forwarder: Forwarder) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", forwarder.port, timeout=60)


def test_a_connection_that_is_kept_alive_moves_to_the_next_process(forwarder, web):
    first, second = web(b"first"), web(b"second")
    forwarder.set_live(first.backend)
    client = connect(forwarder)
    assert get(client) == b"first"
    forwarder.set_live(second.backend)
    forwarder.drain(first.backend, 60)
    first.end()
    assert get(client) == b"second"
    client.close()


def test_an_answer_that_is_under_way_is_waited_for(forwarder, web):
    first, second = web(b"first"), web(b"second")
    forwarder.set_live(first.backend)
    client = connect(forwarder)
    answers: list[bytes] = []
    asking = threading.Thread(target=lambda: answers.extend([get(client, "/slow"), get(client)]))
    asking.start()
    assert first.asked.wait(60)
    forwarder.set_live(second.backend)
    draining = threading.Thread(target=lambda: forwarder.drain(first.backend, 60))
    draining.start()
    other = connect(forwarder)
    assert get(other) == b"second"  # while the first one still works on its last answer
    assert draining.is_alive()
    first.go_on.set()
    draining.join(60)
    asking.join(60)
    assert answers == [b"first", b"second"]
    for each in (client, other):
        each.close()


def test_what_is_no_http_is_broken_off_after_a_while(forwarder):
    with socket.create_server(("127.0.0.1", 0)) as talker:
        first = Backend(lambda: begin(talker.getsockname()[1]))
        forwarder.set_live(first)
        with socket.create_connection(("127.0.0.1", forwarder.port)) as client:
            client.sendall(b"\x00\x01binary")
            server, _ = talker.accept()
            with server:
                assert server.recv(100) == b"\x00\x01binary"
                forwarder.set_live(None)
                forwarder.drain(first, 0.01)
                assert server.recv(100) == b""
            assert client.recv(100) == b""


def test_a_process_that_goes_away_is_waited_for(forwarder, web):
    first = web(b"first")
    forwarder.set_live(first.backend)
    client = connect(forwarder)
    assert get(client) == b"first"
    forwarder.set_live(None)
    first.end()
    answers: list[bytes] = []
    asking = threading.Thread(target=lambda: answers.append(get(client)))
    asking.start()
    forwarder.set_live(web(b"again").backend)
    asking.join(60)
    assert answers == [b"again"]
    client.close()


def test_a_connection_that_comes_after_its_client_was_sent_away_is_closed(forwarder: Forwarder) -> None:
    asked, go_on, closed = threading.Event(), threading.Event(), threading.Event()

    class Made(socket.socket):
        def close(self) -> None:
            super().close()
            closed.set()

    def connect_slowly() -> socket.socket:
        asked.set()
        assert go_on.wait(30)
        return Made()

    forwarder.set_live(Backend(connect_slowly))
    with socket.create_connection(("127.0.0.1", forwarder.port)):
        assert asked.wait(30)
        forwarder.close()
        go_on.set()
        assert closed.wait(30)


def test_a_port_that_is_taken(forwarder):
    forwarding = Forwarding()
    with pytest.raises(FailedPrecondition, match="can't be listened on"):
        forwarding.listen(forwarder.port)
    forwarding.close()


# Where a connection is between two messages.


def test_turns_of_plain_requests():
    turns = Turns()
    assert turns.is_fresh
    for piece in (REQUEST[:5], REQUEST[5:]):
        turns.client_said(piece)
        assert not turns.is_between
    turns.server_said(ANSWER[:-1])
    assert not turns.is_between
    turns.server_said(ANSWER[-1:])
    assert turns.is_between
    assert turns.may_go_on


@pytest.mark.parametrize(
    "answer, is_between",
    [
        (b"HTTP/1.1 100 Continue\r\n\r\n", False),
        (b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\n\r\nas long as it lasts", False),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", False),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", False),
        (b"nonsense\r\n\r\n", False),
    ],
)
def test_turns_after_an_answer(answer, is_between):
    turns = Turns()
    turns.client_said(REQUEST)
    turns.server_said(answer)
    assert turns.is_between == is_between


def test_turns_of_head_which_is_answered_without_the_body_that_is_spoken_of():
    turns = Turns()
    for _ in range(2):
        turns.client_said(REQUEST.replace(b"GET", b"HEAD"))
        turns.server_said(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        assert turns.is_between
    turns.client_said(REQUEST)
    assert not turns.is_between
    turns.server_said(ANSWER)
    assert turns.is_between


def test_turns_of_requests_that_do_not_wait_for_answers():
    turns = Turns()
    turns.client_said(REQUEST + REQUEST)
    turns.server_said(ANSWER)
    assert not turns.is_between
    turns.server_said(ANSWER)
    assert turns.is_between


def test_turns_when_the_server_says_that_it_will_close():
    turns = Turns()
    turns.client_said(REQUEST)
    turns.server_said(ANSWER.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert turns.is_between
    assert not turns.may_go_on


def test_turns_when_the_server_speaks_first():
    turns = Turns()
    turns.server_said(b"220 hello\r\n")
    assert not turns.is_between
