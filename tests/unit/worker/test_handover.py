"""Who asks for datums in lines is read and answered by the thread that runs the attempts, and never holds it up."""

from __future__ import annotations

import json
import select
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from pachlet.worker.batching import HELLO, Door, Handover, NoDatum

ASK = b'{"error": ""}\n'


@pytest.fixture
def handover() -> Iterator[Handover]:
    handover = Handover()
    yield handover
    handover.close()


class Step:
    """The step's end of a connection that a door of the handover lets in."""

    def __init__(self, handover: Handover) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.connection = socket.create_connection(self._listener.getsockname())
        self.connection.sendall(HELLO)
        Door(handover.next_datum, None, handover.adopt).let_in(self._listener)  # type: ignore[arg-type]
        self._lines = self.connection.makefile("rb")

    def say(self, text: bytes) -> None:
        self.connection.sendall(text)

    def hear(self) -> object:
        return json.loads(self._lines.readline())

    def close(self) -> None:
        self._lines.close()
        self.connection.close()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def step(handover: Handover) -> Iterator[Step]:
    step = Step(handover)
    yield step
    step.close()


def question(handover: Handover) -> str:
    """Wait for a question, as a session does."""
    while True:
        assert select.select([handover.wake], [], [], 60)[0], "nobody asked"
        if (error := handover.take()) is not None:
            return error


def test_questions_are_answered_one_after_the_other(handover: Handover, step: Step) -> None:
    for number in range(3):
        step.say(json.dumps({"error": f"error {number}"}).encode() + b"\n")
        assert question(handover) == f"error {number}"
        handover.give([f"N={number}"])
        assert step.hear() == {"env": [f"N={number}"]}


def test_half_a_question_holds_up_nobody_and_counts_once_it_is_whole(handover: Handover, step: Step) -> None:
    step.say(ASK)
    assert question(handover) == ""
    handover.give(["A=1"])
    assert step.hear() == {"env": ["A=1"]}
    step.say(ASK[:5])
    assert select.select([handover.wake], [], [], 60)[0]
    assert handover.take() is None
    assert not select.select([handover.wake], [], [], 0)[0]
    step.say(ASK[5:])
    assert question(handover) == ""
    handover.give(["B=2"])
    assert step.hear() == {"env": ["B=2"]}


def test_a_step_that_reads_no_answer_holds_up_nobody(handover: Handover, step: Step) -> None:
    long = ["LONG=" + "x" * (64 << 20)]
    step.say(ASK)
    assert question(handover) == ""
    handover.give(long)  # more than the kernel takes
    assert step.hear() == {"env": long}
    step.say(ASK)
    assert question(handover) == ""
    handover.give(["C=3"])
    assert step.hear() == {"env": ["C=3"]}


def test_nonsense_is_sent_away_and_another_is_served(handover: Handover, step: Step) -> None:
    step.say(b"nonsense\n")
    assert select.select([handover.wake], [], [], 60)[0]
    assert handover.take() is None
    assert step.connection.recv(10) == b""
    other = Step(handover)
    other.say(ASK)
    assert question(handover) == ""
    handover.give(["D=4"])
    assert other.hear() == {"env": ["D=4"]}
    other.close()


def test_two_that_ask_at_once_get_a_datum_each(handover: Handover, step: Step) -> None:
    other = Step(handover)
    with ThreadPoolExecutor(2) as threads:
        asked = []
        for each, name in ((step, "one"), (other, "two")):
            each.say(json.dumps({"error": name}).encode() + b"\n")
            asked.append(threads.submit(each.hear))
        for _ in range(2):
            error = question(handover)
            handover.give([f"FOR={error}"])
        assert [each.result(60) for each in asked] == [{"env": ["FOR=one"]}, {"env": ["FOR=two"]}]
    other.close()


def test_the_end_sends_away_who_waits(handover: Handover, step: Step) -> None:
    step.say(ASK)
    assert question(handover) == ""
    with ThreadPoolExecutor(1) as threads:
        late = threads.submit(handover.next_datum, "late")
        assert question(handover) == "late"
        handover.close()
        with pytest.raises(NoDatum):
            late.result(60)
    assert step.connection.recv(10) == b""
    with pytest.raises(NoDatum):
        handover.next_datum("later")
