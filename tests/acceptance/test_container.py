"""Stages in real containers: built from their Dockerfiles, they make the very bytes that the process runner makes.

The engine is Podman with a storage of the tests' own; the base at the bottom of the chain is made of Debian's packages,
because no registry need be within reach.

Read next: ../container_engine.py, ../contracts/test_runner_in_containers.py (what a runner promises).
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from images.build import reference
from pachlet import testing
from pachlet.cli import main
from pachlet.cli.session import Session
from pachlet.client import cluster, datums, pipelines, projects, repos, watch
from pachlet.client.connection import Connection
from pachlet.client.get_file import get_folder
from pachlet.client.jobs import list_job
from pachlet.client.proofs import verify
from pachlet.client.put_file import FromDisk, from_bytes, put_file
from pachlet.testing import RunningServer
from pachlet.worker.containers.building import plan
from pachlet.worker.containers.engine import Engine
from tests.acceptance.server_process import START
from tests.acceptance.test_debug_datum import Typist
from tests.acceptance.test_services_run import SERVE, get, service, serving
from tests.acceptance.test_spouts import printed
from tests.acceptance.words import create, job, last_job, pfs_input, put, put_id, shell

ROOT = Path(__file__).parents[2]
FLOWERS = ROOT / "data" / "iris" / "iris.csv"
SPEC = json.loads((ROOT / "pipelines" / "iris" / "model.json").read_text())


def test_a_container_makes_the_bytes_of_the_process_runner(
    container_engine: Engine, server: RunningServer, tmp_path: Path
) -> None:
    with testing.server(tmp_path / "in-containers", code=ROOT, runner="container") as other:
        with Connection(other.address) as connection:
            described = cluster.describe(connection)
        assert described is not None
        assert described.runner.startswith("container (podman ")
        by_container = hashes(train_on(other.address, tmp_path / "container"))
    assert set(by_container) == {"model.joblib", "model.txt"}
    assert by_container == hashes(train_on(server.address, tmp_path / "process"))


def test_an_image_that_can_not_be_had_is_the_pipelines_reason(
    container_engine: Engine, tmp_path: Path
) -> None:
    with (
        testing.server(tmp_path / "data", code=ROOT, runner="container") as server,
        Connection(server.address) as connection,
    ):
        repos.create_repo(connection, "in")
        put_file(connection, "in@master", [from_bytes("/a", b"a")])
        spec = shell("copy", "cp /pfs/in/a /pfs/out", pfs_input("in", "/*"))
        spec["transform"]["image"] = "localhost/no-such-image:1"
        pipelines.create_pipeline(connection, spec)
        assert [each.state for each in watch.wait_until_idle(connection, ["default"])] == ["JOB_FAILURE"]
        [job] = list_job(connection, pipeline="copy")
        assert "image localhost/no-such-image:1 can't be pulled" in job.reason
        info = pipelines.inspect_pipeline(connection, "copy")
        assert "image localhost/no-such-image:1 can't be pulled" in info.reason


def test_an_image_of_any_name_is_what_its_tag_meant_when_the_datum_ran(
    container_engine: Engine, tmp_path: Path
) -> None:
    base, tool = "docker.io/library/python:3.11-slim-bookworm", "localhost/tool"
    made = container_engine.api.create_container(base, ["true"])
    container_engine.api.tag(base, tool, "1")
    with (
        testing.server(tmp_path / "data", code=ROOT, runner="container") as server,
        Connection(server.address) as connection,
    ):
        repos.create_repo(connection, "in")
        put(connection, "in@master", {"/a": "a"})
        spec = shell("copy", "cp /pfs/in/* /pfs/out", pfs_input("in"), transform={"image": f"{tool}:1"})
        first = create(connection, spec)
        assert first.data_processed == 1, first.reason
        container_engine.api.commit(made["Id"], tool, "1", message="moved")
        id = put_id(connection, "in@master", {"/b": "b"})
        second = job(connection, "copy", id)
        assert (second.data_processed, second.data_skipped) == (1, 1), second.reason
        found = {each.data[0].file.path: each for each in datums.list_datum(connection, f"copy@{id}")}
        ran = {path: datums.datum_record(connection, each)["image"] for path, each in found.items()}
        for path, each in found.items():
            # What is told is the engine's own id of the image that the container was made of.
            assert each.image_id == f"{tool}:1@{ran[path]['digest']}"
            assert ran[path]["provenance"]["image_id"].removeprefix("sha256:") in ran[path]["digest"]
        assert ran["/a"]["digest"] != ran["/b"]["digest"]

        # Each is run again on its own image, by a proof and on a bench.
        told = [each for answer in verify(connection, ["copy@master"]) for each in answer.files]
        assert sorted((each.file.path, each.verdict, each.reason) for each in told) == [
            ("/a", "identical", ""),
            ("/b", "identical", ""),
        ]
        environ = {"PACHD_ADDRESS": server.address, "PACH_CONFIG": "/nonexistent"}
        session, bench = Session(environ, err=io.StringIO()), tmp_path / "bench"
        words = ["debug", "datum", f"copy@{id}", "/a", "--run", "--runner", "container", "--keep", str(bench)]
        assert main.run(session, words) == 0, session.err.getvalue()
        assert (bench / "pfs" / "out" / "a").read_text() == "a"
        assert json.loads((bench / "datum.json").read_text())["image"]["digest"] == ran["/a"]["digest"]

        # A link to a file of the image's is not followed to this machine's file of the same name.
        link = "ln -s /etc/hostname /pfs/out/h"
        info = create(connection, shell("link", link, pfs_input("in", "/"), transform={"image": f"{tool}:1"}))
        assert info.data_failed == 1
        assert "/pfs/out/h" in info.reason


ASK = """
import os, socket, time
server = os.environ["PACHD_PEER_SERVICE_HOST"], int(os.environ["PACHD_PEER_SERVICE_PORT"])
with socket.create_connection(server) as asked:
    asked.sendall(b"PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
    print("the server's frame is of type", asked.recv(9)[3], flush=True)
time.sleep(600)
"""
"""The beginning of a gRPC call: an image need not have a client in it for that."""


def test_a_service_and_a_spout_in_containers(container_engine: Engine, tmp_path: Path) -> None:
    base = "docker.io/library/python:3.11-slim-bookworm"
    with (
        testing.server(tmp_path / "data", code=ROOT, runner="container") as server,
        Connection(server.address) as connection,
    ):
        repos.create_repo(connection, "in")
        put(connection, "in@master", {"/text": "one"})
        spec = service(port=8080, code=SERVE.replace("80)", "8080)"))
        spec["transform"]["image"] = base
        pipelines.create_pipeline(connection, spec)
        with closing(serving(connection)) as client:
            assert get(client) == "one"
        put(connection, "in@master", {"/text": "two"})
        with closing(serving(connection, times=2)) as client:
            assert get(client) == "two"
        pipelines.delete_pipeline(connection, "s")
        asking = {"image": base, "cmd": ["python3", "-c", ASK]}
        for network in ("allow", "deny"):
            said = {"metadata": {"annotations": {"pachlet/network": network}}}
            spout = {"pipeline": {"name": "s"}, "spout": {}, "transform": asking, **said}
            pipelines.create_pipeline(connection, spout)
            printed(connection, "the server's frame is of type 4")
            pipelines.delete_pipeline(connection, "s")


def test_a_spout_in_a_container_reaches_a_server_at_an_address_of_ipv6(
    container_engine: Engine, tmp_path: Path
) -> None:
    asking = {"image": "docker.io/library/python:3.11-slim-bookworm", "cmd": ["python3", "-c", ASK]}
    said = {"metadata": {"annotations": {"pachlet/network": "allow"}}}
    with (
        testing.server(tmp_path / "data", host="::1", code=ROOT, runner="container") as server,
        Connection(server.address) as connection,
    ):
        spout = {"pipeline": {"name": "s"}, "spout": {}, "transform": asking, **said}
        pipelines.create_pipeline(connection, spout)
        printed(connection, "the server's frame is of type 4")


def test_a_shell_in_a_container_sees_the_datum_and_has_a_terminal(
    container_engine: Engine, server: RunningServer, connection: Connection
) -> None:
    repos.create_repo(connection, "in")
    put(connection, "in@master", {"/a": "1"})
    # It ran as a process; on the bench it is looked at in a container of the image that the spec names.
    image = "docker.io/library/python:3.11-slim-bookworm"
    spec = shell("look", "cp /pfs/in/* /pfs/out", pfs_input("in"), transform={"image": image})
    create(connection, spec)
    words = ["debug", "datum", f"look@{last_job(connection, 'look').job.id}", "/a", "--runner", "container"]
    command = [sys.executable, "-c", START, *words]
    environ = {**os.environ, "PACHD_ADDRESS": server.address, "PACH_CONFIG": "/nonexistent"}
    typed = "cat $in; touch /pfs/in/new; echo it > /pfs/out/x; cat /pfs/out/x; [ -t 0 ] || exit 7\n"
    done = subprocess.run(command, env=environ, input=typed, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (7, "1it\n"), done.stderr
    assert "Read-only file system" in done.stderr
    with Typist(command, environ) as typist:
        typist.read("# ")
        typist.type("stty size; sh -c \"echo beg''un; exec sleep 60\"\n")
        typist.read("begun")
        typist.type("\x03")
        typist.read("# ")
        typist.type("[ -t 0 ] && echo $((40 + 2)); exit 5\n")
        typist.read("42")
        assert typist.process.wait(60) == 5
    label = f"pachlet.server=bench {typist.process.pid}"
    assert not container_engine.api.containers(all=True, filters={"label": label})


def test_each_image_is_built_once_and_after_its_bases() -> None:
    builds = plan([reference("iris-train"), reference("crypto-predict"), reference("iris-infer")], ROOT)
    names = [build.name for build in builds]
    assert len(set(names)) == len(names)
    assert names[:4] == ["base-python", "base-frames", "base-sklearn", "iris-train"]
    below = {build.tag: build.base for build in builds}
    order = list(below)
    for tag, base in below.items():
        assert not base or order.index(base) < order.index(tag)


def test_an_image_brings_only_its_own_requirements_not_those_of_its_base() -> None:
    builds = plan([reference("crypto-predict")], ROOT)
    own = {build.name: [path.parent.name for path in build.requirements] for build in builds}
    assert own["crypto-predict"] == ["crypto-predict"]
    assert own["base-python"] == []


def test_an_unknown_image_is_a_sentence_with_the_nearest_name() -> None:
    command = [sys.executable, "-m", "images.build", "iris-ifer"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "there is no images/iris-ifer/Dockerfile" in done.stderr
    assert "did you mean pachlet/iris-infer?" in done.stderr
    assert "Traceback" not in done.stderr


def train_on(address: str, destination: Path) -> Path:
    """Run the iris training on a server and return a folder with its output."""
    with Connection(address, project="iris") as iris:
        projects.create_project(iris, "iris")
        repos.create_repo(iris, "training")
        put_file(iris, "training@master", [FromDisk("/iris.csv", FLOWERS)])
        pipelines.create_pipeline(iris, SPEC)
        assert [each.state for each in watch.wait_until_idle(iris, ["iris"])] == ["JOB_SUCCESS"]
        get_folder(iris, "model@master:/", destination)
    return destination


def hashes(folder: Path) -> dict[str, str]:
    """Return the hash of each file below a folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }
