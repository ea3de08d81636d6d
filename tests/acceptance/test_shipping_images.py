"""create pipeline --build and --push-images: images named by their content, from a registry too.

The registry is one of the tests' own (../registry.py); the images are real, and run in real containers.

Read next: ../../pachlet/remote/shipping.py.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pachlet import testing
from pachlet.cli import main
from pachlet.cli.session import Session
from pachlet.client import datums, pipelines, repos
from pachlet.client.connection import Connection
from pachlet.client.get_file import get_bytes
from pachlet.client.jobs import list_job
from pachlet.errors import FailedPrecondition, NotFound
from pachlet.testing import RunningServer
from pachlet.worker.containers.engine import Engine
from pachlet.worker.images import code_digest, content_tag
from tests.acceptance.words import job, pfs_input, put, put_id
from tests.registry import registry

BASE = "docker.io/library/python:3.11-slim-bookworm"


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A folder of code with one image, pachlet/say."""
    root = tmp_path / "code"
    (root / "images" / "say").mkdir(parents=True)
    (root / "images" / "say" / "Dockerfile").write_text(
        "ARG BASE=python:3.11-slim-bookworm\nFROM ${BASE}\nCOPY word /app/word\nWORKDIR /app\n"
    )
    (root / "word").write_text("first")
    return root


@pytest.fixture
def server(container_engine: Engine, code: Path, tmp_path: Path) -> Iterator[RunningServer]:
    with testing.server(tmp_path / "data", code=code, runner="container") as running:
        yield running


@pytest.fixture
def connection(server: RunningServer) -> Iterator[Connection]:
    with Connection(server.address) as connection:
        repos.create_repo(connection, "in")
        put(connection, "in@master", {"/a": "a"})
        yield connection


def pachctl(server: RunningServer, *words: str) -> str:
    """Run a command that must succeed; return what it said."""
    session = Session({"PACHD_ADDRESS": server.address, "PACH_CONFIG": "/nonexistent"}, err=io.StringIO())
    assert main.run(session, list(words)) == 0, session.err.getvalue()
    return str(session.err.getvalue())


def spec(tmp_path: Path, image: str) -> str:
    """Write the spec of a pipeline whose output is its image's word."""
    file = tmp_path / "spec.json"
    transform = {"image": image, "cmd": ["sh", "-c", "cp /app/word /pfs/out/$(ls /pfs/in)"]}
    whole: dict[str, Any] = {"pipeline": {"name": "say"}, "transform": transform, "input": pfs_input("in")}
    file.write_text(json.dumps(whole))
    return str(file)


def test_build_names_an_image_by_its_content_which_runs_whatever_the_code_is_now(
    connection: Connection, server: RunningServer, code: Path, tmp_path: Path
) -> None:
    named = content_tag(code_digest("pachlet/say", code))
    words = ["pipeline", "--build", "--code", str(code), "-f", spec(tmp_path, "pachlet/say")]
    pachctl(server, "create", *words, "--wait")
    assert pipelines.inspect_pipeline(connection, "say").details.transform.image == named
    assert get_bytes(connection, "say@master:/a") == b"first"

    (code / "word").write_text("second")
    job(connection, "say", put_id(connection, "in@master", {"/b": "b"}))
    assert get_bytes(connection, "say@master:/b") == b"first"
    pachctl(server, "update", *words, "--reprocess", "--wait")
    assert pipelines.inspect_pipeline(connection, "say").details.transform.image != named
    assert get_bytes(connection, "say@master:/b") == b"second"


def test_a_content_tag_of_other_code_is_refused_where_there_is_only_the_code(code: Path) -> None:
    named = content_tag(code_digest("pachlet/say", code))
    assert code_digest(named, code).digest == code_digest("pachlet/say:latest", code).digest
    (code / "word").write_text("second")
    with pytest.raises(FailedPrecondition, match=f"{named} is other code than images/say holds now") as told:
        code_digest(named, code)
    assert "--build" in told.value.hint


def test_pushed_images_are_named_as_the_registry_has_them_and_pulled_from_there(
    connection: Connection, server: RunningServer, container_engine: Engine, code: Path, tmp_path: Path
) -> None:
    tag = content_tag(code_digest("pachlet/say", code)).partition(":")[2]
    words = ["-p", "-u", "me", "--code", str(code), "-f", spec(tmp_path, "pachlet/say"), "--wait"]
    with registry() as held:
        said = pachctl(server, "create", "pipeline", "-r", held.address, *words)
        assert f"pushing {held.address}/me/say:{tag}" in said
        media_type, manifest = held.manifests[f"me/say:{tag}"]
        assert "manifest" in media_type
        assert set(map(str, (each["digest"] for each in json.loads(manifest)["layers"]))) <= set(held.blobs)
        pulled = [each for each in held.asked if each.startswith("GET /v2/me/say/")]
    name = f"{held.address}/me/say"
    assert pipelines.inspect_pipeline(connection, "say").details.transform.image == f"{name}:{tag}"
    assert get_bytes(connection, "say@master:/a") == b"first"
    assert pulled, "it was pulled"
    [made] = list_job(connection, pipeline="say")
    [datum] = datums.list_datum(connection, f"say@{made.job.id}")
    facts = datums.datum_record(connection, datum)["image"]["provenance"]
    digest = next(key.partition("@")[2] for key in held.manifests if "@" in key)
    assert f"{name}@{digest}" in facts["repo_digests"]
    assert digest in said


def test_an_image_of_any_name_is_pushed_under_its_id(
    connection: Connection, server: RunningServer, container_engine: Engine, tmp_path: Path
) -> None:
    container_engine.api.tag(BASE, "localhost/tool", "mine")
    id = container_engine.api.inspect_image("localhost/tool:mine")["Id"].removeprefix("sha256:")
    with registry() as held:
        words = ["create", "pipeline", "-p", "-r", held.address, "-f", spec(tmp_path, "localhost/tool:mine")]
        pachctl(server, *words)
        assert f"tool:{id[:16]}" in held.manifests


def test_what_can_not_be_pushed_is_a_sentence_and_no_pipeline_is_made(
    connection: Connection, server: RunningServer, tmp_path: Path
) -> None:
    session = Session({"PACHD_ADDRESS": server.address, "PACH_CONFIG": "/nonexistent"}, err=io.StringIO())
    words = ["create", "pipeline", "-p", "-r", "127.0.0.1:1", "-f", spec(tmp_path, "localhost/no-such:1")]
    assert main.run(session, words) == 1
    assert "podman on this machine has no image localhost/no-such:1" in session.err.getvalue()
    words = [*words[:-1], spec(tmp_path, BASE)]
    assert main.run(session, words) == 1
    assert "can't be pushed" in session.err.getvalue()
    with pytest.raises(NotFound):
        pipelines.inspect_pipeline(connection, "say")


def test_a_dry_run_builds_nothing(connection: Connection, server: RunningServer, tmp_path: Path) -> None:
    said = pachctl(server, "create", "pipeline", "--build", "--dry-run", "-f", spec(tmp_path, "pachlet/say"))
    assert "nothing is built or pushed" in said
    assert "building" not in said
