"""Both published clients, unmodified, create, watch and read pipelines of every kind of input."""

from __future__ import annotations

from typing import Any

from pachlet.testing import RunningServer
from tests.clients.test_clients import run

A, B = ["a1_x", "a1_y", "a2_x"], ["b1", "b3"]
TEXTS = {
    "one": A,
    "whole": [" ".join(A)],
    "crossed": [f"{a} {b}" for a in A for b in B],
    "united": A + B,
    "joined": ["a1_x b1", "a1_y b1"],
    "outer": ["a1_x b1", "a1_y b1", "b3"],
    "grouped": ["a1_x a1_y b1", "a2_x", "b3"],
    "nested": [f"{a} {b}" for a in A for b in B],
    "names_only": ["", "", ""],
    "lazy": A,
    "with_model": [f"{a} modelw" for a in A],
    "triggered": [],
    "ticking": [""],
}


def check(seen: dict[str, Any]) -> None:
    assert seen.pop("planned") == ["/1 /1_x", "/1 /1_y"]
    assert seen.keys() | {"with_model"} == TEXTS.keys()  # reference: the older client has no word for it
    for name, (state, processed, datums, texts) in seen.items():
        expected = sorted(TEXTS[name])
        assert (state, processed, datums, texts) == ("JOB_SUCCESS", len(expected), len(expected), expected), (
            name
        )


def test_python_pachyderm_runs_every_kind_of_input(server: RunningServer) -> None:
    check(run("python-pachyderm", "inputs_python_pachyderm.py", server))


def test_pachyderm_sdk_runs_every_kind_of_input(server: RunningServer) -> None:
    seen = run("pachyderm-sdk", "inputs_pachyderm_sdk.py", server)
    assert seen.pop("jobs_of_a_new_model") == 1
    assert seen.pop("next_event") == ["JOB_SUCCESS", 1, 3]
    assert seen.pop("batches") == [3, 4, 1]
    check(seen)
