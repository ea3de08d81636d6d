"""The server listens where only this machine can call, and says so to whoever wants it otherwise."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from pachlet.cli import main
from pachlet.cli.session import Session
from pachlet.errors import InvalidArgument
from pachlet.server import Server


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "[::]", "10.1.2.3", ""])
def test_other_machines_can_not_be_let_in(tmp_path: Path, host: str) -> None:
    err = io.StringIO()
    session = Session({}, out=io.StringIO(), err=err, input=io.BytesIO())
    data = tmp_path / "data"
    assert main.run(session, ["serve", f"--host={host}", "--port", "0", "--data-dir", str(data)]) == 1
    assert err.getvalue().startswith("pachlet listens on this machine only") or not host
    assert err.getvalue().count("\n") == 1
    assert not data.exists()


@pytest.mark.parametrize("host", ["no such host", "-", "x" * 300, "\x00"])
def test_what_is_no_host_is_told(tmp_path: Path, host: str) -> None:
    with pytest.raises(InvalidArgument, match="is no address of this machine"):
        Server(tmp_path, host=host, port=0, workers=1, code=tmp_path, envs=tmp_path)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2", "::1", "[::1]"])
def test_this_machine_may_be_named_in_several_ways(tmp_path: Path, host: str) -> None:
    server = Server(tmp_path / "data", host=host, port=0, workers=1, code=tmp_path, envs=tmp_path)
    server.start()
    server.stop()
    assert server.address.startswith({"::1": "[::1]"}.get(host, host) + ":")
