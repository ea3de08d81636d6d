"""What a companion and its server do when the other says too much, nothing sensible, or what can't be recorded."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import struct
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pachlet.errors import Refused
from pachlet.worker import companion_messages as messages
from pachlet.worker.attempts import Place
from pachlet.worker.companion import _Hearing
from pachlet.worker.companion_messages import Channel
from pachlet.worker.companion_process import _work_on
from pachlet.worker.head import LeaseLost, Result
from pachlet.worker.interface import Image, Prepared, Transform
from pachlet.worker.launching import Launcher
from pachlet.worker.nursery import Nursery

RESULT = Result("success", "", 1, {}, {}, 0, None)


class Companion:
    """Says what it was made with, and remembers what it is told."""

    def __init__(self, *said: list[Any]) -> None:
        self._said = iter(said)
        self.told: list[Any] = []

    def hear(self) -> list[Any]:
        return next(self._said)

    def tell(self, message: object) -> None:
        self.told.append(message)


class Head:
    """Can't write log lines, and settles what it is told to."""

    def __init__(self, problem: Exception | None = None) -> None:
        self._problem = problem
        self.recorded: list[str] = []

    def say(self, *_: Any) -> None:
        raise OSError("no space left on device")

    def record(self, lease: Any, task: Any, *_: Any) -> None:
        self.recorded.append(task.id)

    def settle(self, *_: Any) -> None:
        if self._problem is not None:
            raise self._problem

    def should_yield(self, lease: Any) -> bool:
        return False


def hearing(companion: Companion, head: Head) -> _Hearing:
    lease: Any = SimpleNamespace(token="token", tasks=[SimpleNamespace(id="d1"), SimpleNamespace(id="d2")])
    return _Hearing(companion, head, lease, {}, "worker")  # type: ignore[arg-type]


def test_a_line_that_can_not_be_logged_ends_the_lease_and_not_what_is_heard():
    said: list[Any] = [messages.Settled("d1", RESULT, [], 0.0, 0.0), messages.Said("d2", "beginning")]
    settled, done = messages.Settled("d2", RESULT, [], 0.0, 0.0), messages.Done(None, False)
    companion, head = Companion(said, [messages.ShouldYield()], [settled, done]), Head()
    with pytest.raises(OSError, match="no space left"):
        hearing(companion, head).to_the_end()
    cancel = messages.Cancel("token", "no space left on device")
    assert companion.told == [cancel, messages.Answer(False)]
    assert head.recorded == ["d1"]


@pytest.mark.parametrize("problem", [LeaseLost("it is void"), Refused("it is a pipe")])
def test_what_a_companion_is_to_know_of_it_is_told(problem: Exception):
    companion = Companion([messages.Settle("d1", RESULT, []), messages.Done(None, False)])
    hearing(companion, Head(problem)).to_the_end()
    assert companion.told == [messages.Answer(None, problem)]


def test_what_the_server_could_not_do_is_told_by_the_server():
    problem = ValueError(threading.Lock())  # which can't be sent to another process
    companion = Companion([messages.Settle("d1", RESULT, [])], [messages.Done(None, False)])
    with pytest.raises(ValueError, match="lock") as raised:
        hearing(companion, Head(problem)).to_the_end()
    assert raised.value is problem
    cancel, answer = companion.told
    assert cancel.token == "token"
    assert isinstance(answer.problem, LeaseLost)


def test_who_never_ends_is_not_waited_for_however_much_it_says():
    ours, theirs = socket.socketpair()
    enough = threading.Event()

    def say() -> None:
        try:
            while not enough.is_set():
                theirs.send(b"x" * 1000)
        except OSError:
            pass

    speaker, guard = threading.Thread(target=say), threading.Timer(20, lambda: (enough.set(), theirs.close()))
    speaker.start(), guard.start()
    channel = Channel(ours)
    channel.wait_for_end(0.1)
    assert not enough.is_set()
    channel.close()
    speaker.join()
    guard.cancel()
    theirs.close()


def test_what_went_wrong_in_a_companion_says_where_also_to_the_server():
    def fail(*_: Any) -> None:
        {}["nothing"]

    head: Any = SimpleNamespace(
        begin=lambda *_: None, finish=lambda problem, is_cleared: told.append(problem)
    )
    told: list[Exception] = []
    assignment: Any = SimpleNamespace(lease=None)
    _work_on(assignment, head, SimpleNamespace(work_on=fail))  # type: ignore[arg-type]
    (heard,) = pickle.loads(pickle.dumps(told))
    assert isinstance(heard, KeyError)
    assert '{}["nothing"]' in heard.__notes__[0]


def test_a_companion_that_is_left_before_it_heard_a_word_ends_without_one(capfd: Any):
    nursery = Nursery()
    door, far_door = socket.socketpair()
    with door, far_door:
        connection = nursery.start(door.fileno())
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""
        connection.close()
    nursery.close()
    assert capfd.readouterr().err == ""


def test_a_companion_that_hears_what_it_can_not_understand_ends(tmp_path: Path, capfd: Any):
    prepared = Prepared(Image("i", "sha256:0", "host", {}), {}, tmp_path, {}, "/", None, None)
    place = Place(prepared, Transform("i"), tmp_path, tmp_path, {}, "none", False, roots=tmp_path)
    nursery = Nursery()
    door, far_door = socket.socketpair()
    try:
        with nursery.start(door.fileno()) as connection, door, far_door:
            connection.settimeout(30)
            Channel(connection).send(messages.Opening(place, "w", None, "", 0))
            connection.sendall(struct.pack("<Q", 4) + b"what")
            assert connection.recv(1) == b""
    finally:
        nursery.close()
    assert "UnpicklingError" in capfd.readouterr().err
    assert os.listdir(tmp_path) == ["pfs"]


def test_a_process_that_is_stopped_does_not_keep_the_server_from_ending():
    launcher, nursery = Launcher(groups=False), Nursery()
    connection = nursery.start(launcher.door.fileno())
    process = nursery._process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    others = os.dup(launcher.door.fileno())  # as a companion that is stopped has it
    ended = threading.Thread(target=lambda: (nursery.close(), launcher.close()))
    ended.start()
    ended.join(20)
    is_over = not ended.is_alive()
    os.close(others)
    connection.close()
    if not is_over:
        process.send_signal(signal.SIGCONT)
    ended.join()
    assert is_over
