"""Datum batching with the decorators of both published clients, unmodified, by the server itself and by companions."""

from __future__ import annotations

from pathlib import Path

import pytest

from pachlet import testing
from pachlet.client import repos
from pachlet.client.connection import Connection
from pachlet.worker.companion import MANY
from tests.acceptance.batching_step import batching_step
from tests.acceptance.words import create, ended, pfs_input, put, tree

ENVIRONMENTS = Path(__file__).parents[2] / ".venvs"
STEP = """
import os
from pathlib import Path
from {module} import batch_all_datums

@batch_all_datums
def pipeline():
    source = Path(os.environ["in"])
    print("at", source.name, os.getpid(), flush=True)
    if source.read_text() == "bad":
        raise ValueError("the file is bad")
    Path("/pfs/out", source.name).write_text(source.read_text().upper())

pipeline()
"""


@pytest.mark.parametrize("number", [3, MANY + 8], ids=["by-the-server", "by-a-companion"])
@pytest.mark.parametrize("client", ["python-pachyderm", "pachyderm-sdk"])
def test_a_step_made_with_a_clients_decorator_is_handed_datum_after_datum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: str, number: int
) -> None:
    environment, code = ENVIRONMENTS / client, tmp_path / "code"
    lines = (environment / "pyvenv.cfg").read_text().splitlines()
    (home,) = (line.partition("=")[2].strip() for line in lines if line.partition("=")[0].strip() == "home")
    step = STEP.format(module=client.replace("-", "_"))
    transform = batching_step(code, step, monkeypatch, environment, Path(home).parent)
    files = {f"/f{each:02}": f"text {each}" for each in range(number)}
    with (
        testing.server(tmp_path / "data", code=code) as server,
        Connection(server.address) as connection,
    ):
        repos.create_repo(connection, "in")
        put(connection, "in@master", {**files, "/bad": "bad"})
        recovering = {**transform, "err_cmd": ["true"]}
        sets = {"number": 100}
        spec = {
            "pipeline": {"name": "p"},
            "transform": recovering,
            "input": pfs_input("in"),
            "datum_set_spec": sets,
        }
        info = create(connection, {**spec, "datum_tries": 1})
        assert (*ended(info), info.data_recovered) == ("SUCCESS", number, 0, 0, number + 1, 1)
        assert tree(connection, "p@master") == {path: text.upper() for path, text in files.items()}
        said = [each.message for each in connection.call("pps_v2.API", "GetLogs", {"job": info.job})]
        processes = {line.split()[2] for line in said if line.startswith("at ")}
        assert 1 <= len(processes) <= 2  # one, and another after the error that it reported
        assert any("failed: ValueError('the file is bad')" in line for line in said)
