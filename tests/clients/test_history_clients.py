"""Both published clients, unmodified, rewrite history: transactions, triggers, squash and drop."""

from __future__ import annotations

from typing import Any

from pachlet.testing import RunningServer
from tests.clients.test_clients import run


def check(seen: dict[str, Any]) -> None:
    assert seen["repos_inside"] == 0
    assert seen["open"] == [True]
    assert seen["repos_after"] == ["a", "b"]
    assert seen["id_is_the_transactions"]
    assert seen["refused"]
    assert seen["left_open"] == 0
    assert seen["triggered"] == [True, 2]
    assert seen["head"]
    assert seen["job"]
    assert seen["dump"]


def test_python_pachyderm_rewrites_history(server: RunningServer) -> None:
    seen = run("python-pachyderm", "history_python_pachyderm.py", server)
    check(seen)
    assert seen["gone"]


def test_pachyderm_sdk_rewrites_history(server: RunningServer) -> None:
    seen = run("pachyderm-sdk", "history_pachyderm_sdk.py", server)
    check(seen)
    assert seen["exists"] is False
    assert seen["found"][:3] == [True, True, True]  # python-pachyderm's find_commits calls FinishCommit
    assert seen["walked"] == ["a"]
    assert seen["metadata"] == {"owner": "me"}
