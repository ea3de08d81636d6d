"""Running datums again: what the command says of each file, of steps that give something else each time, and what of
commits that nothing can be said of; and that nothing is written meanwhile."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pachlet import testing
from pachlet.cli import main
from pachlet.cli.session import Session
from pachlet.client import proofs, repos
from pachlet.client.connection import Connection
from pachlet.client.names import commit
from pachlet.client.watch import head_of
from pachlet.testing import RunningServer
from pipelines.verify import results
from tests.acceptance.batching_step import batching_step
from tests.acceptance.words import PFS, PPS, create, last_job, pfs_input, put, shell, tree

IN = pfs_input("in")
STEPS = {
    "count": """
import json, os, pathlib
for path in pathlib.Path("/pfs/in").iterdir():
    facts = {"bytes": path.stat().st_size, "job": os.environ["PACH_JOB_ID"]}
    pathlib.Path("/pfs/out", f"{path.name}.json").write_text(json.dumps(facts))
""",
    "draw": """
import json, pathlib, random
for path in pathlib.Path("/pfs/in").iterdir():
    facts = {"name": path.name, "drawn": [random.uniform(0, 1)]}
    pathlib.Path("/pfs/out", f"{path.name}.json").write_text(json.dumps(facts))
    pathlib.Path("/pfs/out", f"{path.name}.txt").write_text("always the same")
""",
}


def verify(connection: Connection, *words: str) -> tuple[int, list[str]]:
    """Run `pachlet verify`; return the exit status and the lines."""
    out, err = io.StringIO(), io.StringIO()
    environ = {"PACHD_ADDRESS": str(connection.address), "PACH_CONFIG": "/nonexistent"}
    session = Session(environ, out=out, err=err, program="pachlet")
    status = main.run(session, ["verify", *words])
    assert "Traceback" not in err.getvalue()
    return status, (out.getvalue() + err.getvalue()).splitlines()


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of code with one image, to be changed."""
    folder = tmp_path_factory.mktemp("code")
    for name, text in STEPS.items():
        (folder / "images" / name).mkdir(parents=True)
        dockerfile = f"FROM python:3.11-slim-bookworm\nCOPY {name}.py /app/{name}.py\n"
        (folder / "images" / name / "Dockerfile").write_text(dockerfile)
        (folder / f"{name}.py").write_text(text)
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, code: Path) -> Iterator[RunningServer]:
    with testing.server(tmp_path_factory.mktemp("data"), code=code) as running:
        yield running


@pytest.fixture
def connection(server: RunningServer) -> Iterator[Connection]:
    with Connection(server.address) as connection:
        yield connection
        connection.call(PPS, "DeleteAll", {})
        repos.delete_repos(connection, all_projects=True, force=True)


def python(name: str, **more: Any) -> dict[str, Any]:
    """Make the spec of a pipeline that runs one of the images."""
    transform = {"image": f"pachlet/{name}", "cmd": ["python", f"/app/{name}.py"]}
    return {"pipeline": {"name": name}, "transform": transform, "input": IN, "datum_tries": 1, **more}


def everything(server: RunningServer) -> list[tuple[str, int]]:
    """Return how much there is of all that a job leaves."""
    tables = ["commits", "branches", "jobs", "datums", "datum_records", "logs", "staged", "chunks", "nodes"]
    with sqlite3.connect(server.data_dir / "pachlet.db") as database:
        return [(each, database.execute(f"SELECT count(*) FROM {each}").fetchone()[0]) for each in tables]


def test_each_datum_runs_as_the_job_that_ran_it_did(
    connection: Connection, server: RunningServer, code: Path
) -> None:
    repos.create_repo(connection, "in")
    put(connection, "in@master", {"/a": "1", "/b": "22"})
    first = create(connection, python("count"))
    put(connection, "in@master", {"/c": "333"})
    second = last_job(connection, "count")
    assert (second.data_processed, second.data_skipped) == (1, 2)
    assert first.job.id in tree(connection, "count@master")["/a.json"]
    (code / "count.py").write_text("raise SystemExit('other code')")
    before = everything(server)
    status, lines = verify(connection, "count@master")
    commit = f"default/count@{second.job.id}"
    assert sorted(lines[:3]) == [f"identical: {commit}:/{name}.json" for name in "abc"]
    assert lines[3:] == [f"{commit}: 3 of 3 files identical, 3 datums", "verified 3 of 3 files identical"]
    assert status == 0
    assert everything(server) == before
    assert verify(connection, "-q", second.job.id) == (0, lines[3:])
    snapshots = list((server.data_dir / "code").iterdir())
    for each in snapshots:
        shutil.rmtree(each)
    status, lines = verify(connection, "count@master")
    assert status == 3
    assert lines[0].startswith(f"can't verify: {commit}, 3 files: image pachlet/count@sha256:")
    assert " is gone: its code is not kept in " in lines[0]
    assert lines[-1] == "verified 0 of 3 files identical"


def test_random_step_is_named_with_the_field_that_differs(
    connection: Connection, server: RunningServer
) -> None:
    repos.create_repo(connection, "in")
    put(connection, "in@master", {"/a": "1"})
    job = create(connection, python("draw"))
    commit = f"default/draw@{job.job.id}"
    status, lines = verify(connection, "draw@master")
    lines = sorted(lines)
    assert status == 1
    assert lines[1] == f"{commit}: 1 of 2 files identical, 1 datum"
    assert re.fullmatch(
        r"default/draw, version 1, is not deterministic: datum \w{12} gave two results here, first in /a.json",
        lines[0],
    )
    assert re.fullmatch(rf"differs: {commit}:/a.json: field drawn\[0\] is 0\.\d+, stored is 0\.\d+", lines[2])
    assert lines[3:] == [f"identical: {commit}:/a.txt", "verified 1 of 2 files identical"]
    with sqlite3.connect(server.data_dir / "pachlet.db") as database:
        path = "$.image.provenance.python_version"
        database.execute("UPDATE datum_records SET record = json_set(record, ?, '3.11.0')", [path])
    status, lines = verify(connection, "draw@master", "-o", "json")
    found = json.loads("\n".join(lines))
    assert status == 3
    assert [each["verdict"] for each in found["files"]] == ["not-comparable", "identical"]
    assert "; Python: 3.11.0, here 3.11." in found["files"][0]["reason"]
    assert found["summary"] == {
        "files": 2, "identical": 1, "differs": 0, "not-comparable": 1, "unverified": 0
    }  # fmt: skip


def test_other_surroundings_failures_and_recoveries(connection: Connection) -> None:
    repos.create_repo(connection, "in")
    put(connection, "in@master", {"/a": "1", "/b": "2"})
    give = {"secrets": [{"name": "word", "key": "it", "env_var": "WORD"}]}

    keep_secret(connection, "one")
    script = 'test -f /pfs/in/b && exit 7; printf "k,v\\nx,$WORD\\n" > /pfs/out/t.csv; ln -s $in /pfs/out/link; exit 5'
    more = {"err_cmd": ["true"], "accept_return_code": [5], **give}
    job = create(connection, shell("p", script, pfs_input("in", lazy=False), transform=more))
    assert (job.data_processed, job.data_recovered) == (1, 1)
    commit = f"default/p@{job.job.id}"
    assert verify(connection, "p@master", "-q") == (
        0,
        [f"{commit}: 2 of 2 files identical, 2 datums", "verified 2 of 2 files identical"],
    )
    connection.call(PPS, "DeleteSecret", {"secret": {"name": "word"}})
    keep_secret(connection, "other")
    status, lines = verify(connection, "p@master", "-q")
    assert status == 1
    assert lines[0] == f'differs: {commit}:/t.csv: row 2, column v is "other", stored is "one"'
    assert any(" gave the same twice here " in line for line in lines)
    connection.call(PPS, "DeleteSecret", {"secret": {"name": "word"}})
    status, lines = verify(connection, "p@master")
    assert status == 3
    assert lines[0].startswith(f"can't verify: {commit}, 2 files: ")
    assert "word" in lines[0]


def test_inputs_that_are_pipes_or_names_are_so_again(connection: Connection) -> None:
    """What a step finds of a lazy input and of empty files is what it found in its job."""
    repos.create_repo(connection, "in")
    put(connection, "in@master", {"/a": "alpha\n" * 50_000, "/b": "beta\n"})
    script = "test -p /pfs/in/a && cp /pfs/in/a /pfs/out/a; stat -c %F /pfs/in/* > /pfs/out/kinds"
    create(connection, shell("lazy", script, pfs_input("in", "/", lazy=True)))
    create(
        connection, shell("names", "wc -c /pfs/in/* > /pfs/out/sizes", pfs_input("in", "/", empty_files=True))
    )
    for name, paths in (("lazy", ["/a", "/kinds"]), ("names", ["/sizes"])):
        last_job(connection, name)
        assert list(tree(connection, f"{name}@master")) == paths
        status, lines = verify(connection, f"{name}@master")
        assert (status, lines[-1]) == (0, f"verified {len(paths)} of {len(paths)} files identical"), lines


def test_what_has_nothing_to_verify_and_what_is_gone(connection: Connection) -> None:
    repos.create_repo(connection, "in")
    put(connection, "in@master", {"/a": "1"})
    create(connection, shell("middle", "cp $in /pfs/out/", IN))
    create(connection, shell("end", "cat /pfs/middle/* > /pfs/out/all", pfs_input("middle", "/")))
    create(connection, shell("bad", "exit 3", IN))
    put_id = head_of(connection, "in@master")
    assert verify(connection, "in@master") == (
        0,
        [
            f"nothing to verify: default/in@{put_id}: no job made it: its files were put, by a user or by a clock",
            "verified 0 of 0 files identical",
        ],
    )
    status, lines = verify(connection, "end@master", "--deep", "-q")
    assert (status, lines[-1]) == (0, "verified 2 of 2 files identical")
    status, lines = verify(connection, "--all", "-q")
    assert status == 3
    assert lines[-1] == "verified 2 of 2 files identical"
    said = dict(line.split("@") for line in lines[:-1])
    assert set(said) == {"default/middle", "default/end", "can't verify: default/bad"}
    assert ": its job ended as failure: datum " in said["can't verify: default/bad"]
    assert verify(connection)[0] == 2


def test_input_that_is_gone_is_read_where_the_same_is_still(connection: Connection) -> None:
    for each in ("in", "model"):
        repos.create_repo(connection, each)
    put(connection, "in@master", {"/a": "1"})
    put(connection, "model@master", {"/m": "old"})
    read = {"cross": [pfs_input("in"), pfs_input("model", "/", reference=True)]}
    write = "cat /pfs/in/* /pfs/model/m > /pfs/out/$(ls /pfs/in); echo $in_COMMIT >> /pfs/out/$(ls /pfs/in)"
    create(connection, shell("p", write, read))
    old = {each: head_of(connection, f"{each}@master") for each in ("in", "model")}

    def squash(repo: str) -> None:
        named = {"commit": commit("default", f"{repo}@{old[repo]}"), "recursive": True}
        connection.call(PFS, "SquashCommit", named)

    put(connection, "in@master", {"/b": "2"})
    assert last_job(connection, "p").data_skipped == 1
    squash("in")
    assert verify(connection, "p@master", "-q")[1][-1] == "verified 2 of 2 files identical"
    put(connection, "model@master", {"/m": "new"})
    assert last_job(connection, "p").data_skipped == 2
    squash("model")
    status, lines = verify(connection, "p@master", "-q")
    assert status == 3
    assert ": input / of default/model@" in lines[0]
    assert lines[0].endswith(" is not what it was when the datum ran")


def test_input_that_is_lost_costs_its_own_datum_only(connection: Connection, server: RunningServer) -> None:
    repos.create_repo(connection, "in")
    put(connection, "in@master", {"/a": "a" * 1234, "/b": "b", "/c": "c"})
    job = create(connection, shell("p", "wc -c < $in > /pfs/out/$(basename $in)", IN))
    with sqlite3.connect(server.data_dir / "pachlet.db") as database:
        assert database.execute("DELETE FROM chunks WHERE length = 1234").rowcount == 1
    status, lines = verify(connection, "p@master", "-q")
    assert status == 3
    lost = f"can't verify: default/p@{job.job.id}, 1 file: the datum of /a of in can't be run: chunk "
    assert lines[0].startswith(lost)
    assert lines[-1] == "verified 2 of 3 files identical"


def test_caller_who_goes_away_leaves_no_work_behind(connection: Connection) -> None:
    """Both workers hang in a proof; once nobody listens they do what comes next."""
    repos.create_repo(connection, "in")
    put(connection, "in@master", {"/a": "1", "/b": "2"})
    keep_secret(connection, "one")
    give = {"secrets": [{"name": "word", "key": "it", "env_var": "WORD"}]}
    script = 'if test "$WORD" != one; then sleep 1000; fi; cp $in /pfs/out/'
    two = {"parallelism_spec": {"constant": 2}}
    create(connection, shell("p", script, IN, transform=give, **two))
    connection.call(PPS, "DeleteSecret", {"secret": {"name": "word"}})
    keep_secret(connection, "other")
    answers = proofs.verify(connection, ["p@master"])
    assert next(answers).progress.datums_total == 2
    assert next(answers).progress.datums == 0
    answers.close()  # type: ignore[attr-defined]
    job = create(connection, shell("after", "cp $in /pfs/out/", IN, **two))
    assert job.data_processed == 2
    connection.call(PPS, "DeleteSecret", {"secret": {"name": "word"}})


def keep_secret(connection: Connection, word: str) -> None:
    """Keep a secret of one word."""
    value = base64.b64encode(word.encode()).decode()
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "word"}, "data": {"it": value}}
    connection.call(PPS, "CreateSecret", {"file": json.dumps(secret).encode()})


BATCH = """
from pachlet.step import main

def run(inputs, out):
    for file in (inputs / "in").iterdir():
        (out / file.name).write_text(file.read_text().upper())

main(run, batching=True)
"""


def test_batching_step_and_a_server_without_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = tmp_path / "code"
    transform = batching_step(code, BATCH, monkeypatch)
    with testing.server(tmp_path / "data", code=code) as server, Connection(server.address) as connection:
        repos.create_repo(connection, "in")
        put(connection, "in@master", {"/a": "one", "/b": "two"})
        create(connection, {"pipeline": {"name": "batch"}, "transform": transform, "input": IN})
        status, lines = verify(connection, "batch@master", "-q")
        assert (status, lines[-1]) == (0, "verified 2 of 2 files identical")
    with (
        testing.server(tmp_path / "data", code=code, workers=0) as server,
        Connection(server.address) as connection,
    ):
        status, lines = verify(connection, "batch@master")
        assert status == 1
        assert "this server has no workers of its own" in lines[0]


def test_make_verify_is_about_what_the_main_job_made(tmp_path: Path) -> None:
    """A pipeline of a user's own in its project, and one of its names in another project, are none of it."""
    with (
        testing.server(tmp_path) as server,
        Connection(server.address) as default,
        Connection(server.address, project="crypto") as crypto,
    ):
        assert results(server.address) == []
        crypto.call(PFS, "CreateProject", {"project": {"name": "crypto"}})
        repos.create_repo(crypto, "in")
        put(crypto, "in@master", {"/a": "1"})
        read = pfs_input("in", project="crypto")
        made = create(crypto, shell("report", "true", read))
        create(crypto, shell("mine", "true", read))
        create(default, shell("report", "true", read))
        assert results(server.address) == [f"crypto/report@{made.job.id}"]
