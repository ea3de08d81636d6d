"""A program that watches is told each thing as a line of JSON."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from pachlet.cli import main
from pachlet.cli.events import Events
from pachlet.cli.session import Session
from tests.unit.cli.test_progress import Clock, job
from tests.unit.cli.test_waiting import Watched


def told(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_each_change_of_a_job_is_told_once() -> None:
    out = io.StringIO()
    events = Events(out, clock=lambda: 0.0)
    for done in (1, 1, 4):
        events.jobs([job("a", "JOB_RUNNING" if done < 4 else "JOB_SUCCESS", done)])
    assert [(each["event"], each["state"], each["processed"]) for each in told(out)] == [
        ("job", "running", 1),
        ("job", "success", 4),
    ]
    assert told(out)[0]["pipeline"] == "a"


def test_what_lasts_is_told_also_if_nothing_changes() -> None:
    out = io.StringIO()
    events = Events(out, clock=Clock())  # a second passes at each look
    for _ in range(8):
        events.jobs([job("a", "JOB_RUNNING", 1), job("b", "JOB_CREATED")])
    told_of = [each for each in told(out) if each["event"] == "jobs"]
    assert len(told_of) >= 2
    assert (told_of[0]["over"], told_of[0]["of"]) == (0, 2)


def test_bytes_and_steps() -> None:
    out = io.StringIO()
    events = Events(out, clock=Clock())
    advance = events.bytes("put", 30)
    for _ in range(3):
        advance(10)
    for number in range(9):
        events.step(f"tick {number}")
    last = [each for each in told(out) if each["event"] == "bytes"][-1]
    assert (last["what"], last["done"], last["total"]) == ("put", 30, 30)
    steps = [each["text"] for each in told(out) if each["event"] == "step"]
    assert steps
    assert steps == sorted(steps)


def test_a_wait_is_told() -> None:
    out = Watched()
    with Events(out, patience=0.001).waiting("creating edges"):
        assert out.written.wait(10)
    first = told(out)[0]
    assert (first["event"], first["for"]) == ("waiting", "creating edges")
    assert first["seconds"] >= 0


@pytest.mark.parametrize(
    "words, asked",
    [("list pipeline -o json", True), ("list pipeline --events", True), ("list pipeline --raw", False)],
)
def test_they_are_asked_for(session: Session, words: str, asked: bool) -> None:
    assert main.run(session, words.split()) == 1  # there is no server
    assert session.events is asked
    assert isinstance(session.progress, Events) is asked
