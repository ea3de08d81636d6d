"""A pipeline that can't run says so, and what to do, in `list pipeline`; what is mended runs without being asked."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pachlet import testing
from pachlet.cli import main
from pachlet.cli.session import Session
from pachlet.client import branches, jobs, pipelines, repos
from pachlet.client.connection import Connection
from pachlet.client.jobs import state_of
from pachlet.wire import schema
from tests.acceptance.words import PPS, create, ended, job, last_job, pfs_input, put, put_id, shell, tree

COPY = "cp /pfs/in/* /pfs/out/"
IN = pfs_input("in")
IMAGE = "FROM python:3.11-slim-bookworm\n"


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A folder of code without any image."""
    folder = tmp_path / "code"
    (folder / "images").mkdir(parents=True)
    return folder


@pytest.fixture
def connection(tmp_path: Path, code: Path) -> Iterator[Connection]:
    """A connection to a server of that code, with a file in `in`."""
    with testing.server(tmp_path / "data", code=code) as running, Connection(running.address) as connection:
        repos.create_repo(connection, "in")
        put(connection, "in@master", {"/a": "1"})
        yield connection


def make_image(code: Path, name: str, text: str = IMAGE) -> None:
    (code / "images" / name).mkdir(exist_ok=True)
    (code / "images" / name / "Dockerfile").write_text(text)


def listed(connection: Connection, name: str = "p") -> tuple[str, str]:
    """Return state and reason of a pipeline, as `list pipeline` has them."""
    [info] = [each for each in pipelines.list_pipeline(connection) if each.pipeline.name == name]
    return schema.enum_name("pps_v2.PipelineState", info.state).removeprefix("PIPELINE_"), info.reason


def said(connection: Connection, text: str, name: str = "p") -> bool:
    """Return once the log of a pipeline says something."""
    request = {"pipeline": {"name": name}, "follow": True}
    return any(text in each.message for each in connection.call(PPS, "GetLogs", request, timeout=60))


def next_job(connection: Connection, known: set[str], name: str = "p") -> Any:
    """Return the JobInfo of the first job that is not known, once it has ended."""
    followed = connection.call(PPS, "SubscribeJob", {"pipeline": {"name": name}}, timeout=60)
    for info in followed:
        if info.job.id not in known:
            followed.close()
            return job(connection, name, info.job.id)
    raise AssertionError("the subscription ended")


def known_jobs(connection: Connection, name: str = "p") -> set[str]:
    return {each.job.id for each in jobs.list_job(connection, name)}


def test_p2214_missing_image_is_named_and_its_folder_makes_the_pipeline_run(
    connection: Connection, code: Path
) -> None:
    info = create(connection, shell("p", COPY, IN, transform={"image": "pachlet/late"}))
    assert ended(info)[0] == "FAILURE"
    state, reason = listed(connection)
    assert state == "CRASHING"
    assert reason.startswith(f"image pachlet/late: there is no images/late/Dockerfile in {code}")
    assert info.reason == reason
    known = known_jobs(connection)
    make_image(code, "late")
    assert ended(next_job(connection, known)) == ("SUCCESS", 1, 0, 0, 1)
    assert listed(connection) == ("RUNNING", "")
    assert tree(connection, "p@master") == {"/a": "1"}


def test_image_is_looked_for_when_the_pipeline_is_made(connection: Connection) -> None:
    """Also while no job can begin, because what it reads is not finished."""
    connection.call(
        "pfs_v2.API", "StartCommit", {"branch": {"repo": {"name": "in", "type": "user"}, "name": "master"}}
    )
    pipelines.create_pipeline(connection, shell("p", COPY, IN, transform={"image": "pachlet/none"}))
    assert said(connection, "the pipeline can't run: image pachlet/none")
    assert listed(connection)[0] == "CRASHING"
    [only] = jobs.list_job(connection, "p")
    assert state_of(only) == "JOB_CREATED"


def test_images_may_be_required(tmp_path: Path, code: Path) -> None:
    with (
        testing.server(tmp_path / "data", code=code, require_images=True) as running,
        Connection(running.address) as connection,
    ):
        repos.create_repo(connection, "in")
        put(connection, "in@master", {"/a": "1"})
        info = create(connection, shell("p", COPY, IN))
        assert ended(info)[0] == "FAILURE"
        assert listed(connection) == (
            "CRASHING",
            "image alpine can't be had: this server pulls no images, and was told not to run them on the machine's "
            "own programs (name a folder of images/ as pachlet/NAME, or start the server without --require-images)",
        )
        make_image(code, "there")
        image = {"image": "pachlet/there"}
        assert ended(create(connection, shell("p", COPY, IN, transform=image), update=True))[0] == "SUCCESS"


def test_command_that_is_not_in_the_image(connection: Connection) -> None:
    info = create(connection, shell("p", "", IN, transform={"cmd": ["no-such-program"], "stdin": []}))
    assert ended(info) == ("FAILURE", 0, 0, 1, 1)
    assert info.reason.endswith("failed: no-such-program is not in image alpine")
    assert listed(connection) == (
        "CRASHING",
        "no-such-program is not in image alpine (put it there, or change transform.cmd)",
    )
    create(connection, shell("p", COPY, IN), update=True)
    assert listed(connection)[0] == "RUNNING"


@pytest.mark.parametrize(
    "field, kind",
    [("resource_requests", "memory"), ("resource_limits", "memory"), ("resource_requests", "disk")],
)
def test_memory_or_disk_above_the_machine(connection: Connection, field: str, kind: str) -> None:
    info = create(connection, shell("p", COPY, IN, **{field: {kind: "900Ti"}}))
    assert ended(info)[0] == "FAILURE"
    state, reason = listed(connection)
    assert state == "CRASHING"
    assert reason.startswith(f"its workers ask for 990 TB of {kind}, and this machine has ")
    assert f"(lower resource_requests.{kind}" in reason
    create(connection, shell("p", COPY, IN), update=True)
    assert listed(connection)[0] == "RUNNING"


def secret(connection: Connection) -> None:
    text = {"metadata": {"name": "s"}, "stringData": {"k": "v"}}
    connection.call(PPS, "CreateSecret", {"file": json.dumps(text).encode()})


def test_secret_that_was_deleted(connection: Connection) -> None:
    secret(connection)
    given = {"secrets": [{"name": "s", "key": "k", "env_var": "K"}]}
    create(connection, shell("p", f"{COPY}; test $K = v", IN, transform=given))
    connection.call(PPS, "DeleteSecret", {"secret": {"name": "s"}})
    assert said(connection, "the pipeline can't run: missing Kubernetes secret s")
    assert listed(connection)[0] == "CRASHING"
    failed = job(connection, "p", put_id(connection, "in@master", {"/b": "2"}))
    assert ended(failed)[0] == "FAILURE"
    assert failed.reason.startswith("missing Kubernetes secret s (pachctl create secret")
    known = known_jobs(connection)
    secret(connection)
    assert ended(next_job(connection, known)) == ("SUCCESS", 1, 1, 0, 2)
    assert listed(connection)[0] == "RUNNING"


def test_input_repo_that_was_deleted(connection: Connection) -> None:
    create(connection, shell("p", COPY, IN))
    repos.delete_repo(connection, "in", force=True)
    assert said(connection, "can't run: its input default/in@master was deleted")
    repos.create_repo(connection, "in")
    put(connection, "in@master", {"/b": "2"})
    assert said(connection, "can't run: its input default/in@master was deleted and made anew")
    state, reason = listed(connection)
    assert (state, reason.endswith("(`pachctl update pipeline` connects them)")) == ("CRASHING", True)
    create(connection, shell("p", COPY, IN), update=True)
    assert listed(connection)[0] == "RUNNING"
    assert tree(connection, "p@master") == {"/b": "2"}


def test_input_branch_that_was_deleted(connection: Connection) -> None:
    create(connection, shell("p", COPY, IN))
    branches.delete_branch(connection, "in@master", force=True)
    assert said(connection, "can't run: its input default/in@master was deleted (make it again and")
    assert listed(connection)[0] == "CRASHING"
    pipelines.stop_pipeline(connection, "p")
    assert listed(connection)[0] == "PAUSED"


def test_environment_that_can_not_be_made(connection: Connection, code: Path) -> None:
    pins = "no-such-package-of-anybody==1.0 --hash=sha256:" + "0" * 64 + "\n"
    (code / "pins.txt").write_text(pins)
    text = f"{IMAGE}COPY pins.txt /app/pins.txt\nRUN pip install --no-cache-dir --require-hashes -r /app/pins.txt\n"
    make_image(code, "env", text)
    info = create(connection, shell("p", COPY, IN, transform={"image": "pachlet/env"}))
    assert ended(info)[0] == "FAILURE"
    state, reason = listed(connection)
    assert state == "CRASHING"
    assert "uv pip install failed" in reason
    known = known_jobs(connection)
    make_image(code, "env")
    assert ended(next_job(connection, known)) == ("SUCCESS", 1, 0, 0, 1)


def test_what_is_mended_while_the_server_is_down_runs_at_its_start(tmp_path: Path, code: Path) -> None:
    data = tmp_path / "data"
    with testing.server(data, code=code) as running, Connection(running.address) as connection:
        repos.create_repo(connection, "in")
        put(connection, "in@master", {"/a": "1"})
        create(connection, shell("p", COPY, IN, transform={"image": "pachlet/late"}))
        known = known_jobs(connection)
    make_image(code, "late")
    with testing.server(data, code=code) as running, Connection(running.address) as connection:
        assert ended(next_job(connection, known)) == ("SUCCESS", 1, 0, 0, 1)
    shutil.rmtree(code / "images" / "late")


def test_failing_command_is_in_the_list_of_jobs_and_in_the_pipeline(connection: Connection) -> None:
    asked = {"cpu": 0.5, "memory": "64Mi", "gpu": {"type": "nvidia.com/gpu", "number": 1}}
    info = create(connection, shell("p", "echo no; exit 7", IN, resource_requests=asked))
    assert info.reason.endswith("failed: exit status 7")
    details = pipelines.inspect_pipeline(connection, "p").details
    assert details.recent_error == info.reason
    out = io.StringIO()
    environ = {"PACHD_ADDRESS": str(connection.address), "PACH_CONFIG": "/nowhere/config.json"}
    main.run(Session(environ, out=out, err=io.StringIO()), ("inspect", "pipeline", "p"))
    assert f"Recent Error: {info.reason}" in out.getvalue()
    assert "ResourceRequests:\n  CPU: 0.5\n  Memory: 64Mi\n  GPU: 1 nvidia.com/gpu\n" in out.getvalue()
    assert '"reprocess_spec": "until_success"' in out.getvalue().partition("Effective Spec: ")[2]
    assert listed(connection)[0] == "RUNNING"  # it ran
    create(connection, shell("p", COPY, IN), update=True)
    assert pipelines.inspect_pipeline(connection, "p").details.recent_error == ""
    assert last_job(connection, "p").reason == ""
