"""Both of Pachyderm's published Python clients, unmodified, write a spout's output from inside of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pachlet import testing
from pachlet.client import pipelines
from pachlet.client.connection import Connection
from tests.acceptance.words import PFS, tree

HERE = Path(__file__).parent
DOCKERFILE = """
FROM python:3.11-slim-bookworm
COPY {client}.txt /opt/requirements.txt
RUN pip install --no-cache-dir --require-hashes -r /opt/requirements.txt
COPY {program} /app/{program}
WORKDIR /app
"""


@pytest.mark.parametrize("client", ["python-pachyderm", "pachyderm-sdk"])
def test_a_spout(client: str, tmp_path: Path) -> None:
    program = f"spout_{client.replace('-', '_')}.py"
    (tmp_path / "code" / "images" / "s").mkdir(parents=True)
    (tmp_path / "code" / "images" / "s" / "Dockerfile").write_text(
        DOCKERFILE.format(client=client, program=program)
    )
    for name in (program, f"{client}.txt"):
        shutil.copy(HERE / name, tmp_path / "code" / name)
    spec = {
        "pipeline": {"name": "s"},
        "spout": {"service": {}},  # what pachyderm-sdk makes of an empty spout
        "transform": {"image": "pachlet/s", "cmd": ["python", program]},
    }
    with (
        testing.server(tmp_path / "data", code=tmp_path / "code") as server,
        Connection(server.address) as connection,
    ):
        pipelines.create_pipeline(connection, spec)
        request = {"repo": {"name": "s", "type": "user"}, "state": 4, "origin_kind": 1}
        made = iter(connection.call(PFS, "SubscribeCommit", request, timeout=100))
        assert len([next(made) for _ in range(4)]) == 4
        content = {f"/{number}": f"by {client}" for number in range(3)}
        assert tree(connection, "s@master") == {**content, "/last": "s"}
