"""Cron inputs with both published clients: made, ticked by hand, refused where there is none, deleted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pachlet import testing
from pachlet.clock import FakeClock
from pachlet.testing import RunningServer
from tests.clients.test_clients import run


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server whose clock stands at the 1st of June 2024, noon in UTC."""
    clock = FakeClock(1_717_243_200 * 1_000_000_000)
    with testing.server(tmp_path_factory.mktemp("server") / "data", clock=clock) as running:
        yield running


@pytest.mark.parametrize(
    "client, program",
    [
        ("python-pachyderm", "cron_python_pachyderm.py"),
        ("pachyderm-sdk", "cron_pachyderm_sdk.py"),
    ],
)
def test_cron_inputs(server: RunningServer, client: str, program: str) -> None:
    seen = run(client, program, server)
    assert seen["cron"] == ["tick", "report_tick", "0 0 1 3 *", True, "2024-03-01T10:30:00Z"]
    assert seen["ticks"] == ["/2024-06-01T12:00:00Z"]
    assert seen["output"] == seen["ticks"][0][1:]
    assert seen["last"] == 1
    assert "pipeline doesn't have a cron input" in seen["plain"]
    assert seen["left"] == ["copy", "plain"]
