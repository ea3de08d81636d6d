"""Metadata: texts that users hang on projects, repos, branches, commits, pipelines and the cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pachlet import testing
from pachlet.client import branches, commits, pipelines, projects, repos
from pachlet.client.connection import Connection
from pachlet.errors import FailedPrecondition, InvalidArgument, PachletError, Refused
from tests.acceptance.words import PFS, add, create, create_branch, head, modify, pfs_input, put_id, shell

PROJECT = {"project": {"name": "default"}}
REPO = {"name": {"project": {"name": "default"}, "name": "a"}}
BRANCH = {"name": {"repo": REPO, "name": "master"}}


def edit(connection: Connection, *edits: dict[str, Any]) -> None:
    connection.call("metadata.API", "EditMetadata", {"edits": edits})


def change(connection: Connection, target: dict[str, Any], operation: str, **words: Any) -> None:
    edit(connection, {**target, operation: words})


def cluster(connection: Connection) -> dict[str, str]:
    return dict(connection.call("admin_v2.API", "InspectCluster", {}).metadata)


@pytest.fixture
def targets(connection: Connection) -> dict[str, tuple[dict[str, Any], Any]]:
    """Every kind of thing that has metadata: how it is named, and what reads its metadata."""
    repos.create_repo(connection, "a")
    modify(connection, "a@master", add("/x", "1"))  # as a client would that says nothing of itself
    id = head(connection, "a@master").commit.id
    create(connection, shell("copy", "true", pfs_input("a")))
    pipeline = {"name": {"project": {"name": "default"}, "name": "copy"}}
    return {
        "project": (
            {"project": {"name": "default"}},
            lambda: projects.inspect_project(connection, "default").metadata,
        ),
        "repo": ({"repo": REPO}, lambda: repos.inspect_repo(connection, "a").metadata),
        "branch": ({"branch": BRANCH}, lambda: branches.inspect_branch(connection, "a@master").metadata),
        "commit": (
            {"commit": {"id": {"repo": REPO, "id": id}}},
            lambda: commits.inspect_commit(connection, f"a@{id}").metadata,
        ),
        "pipeline": ({"pipeline": pipeline}, lambda: pipelines.inspect_pipeline(connection, "copy").metadata),
        "cluster": ({"cluster": {}}, lambda: cluster(connection)),
    }


@pytest.mark.parametrize("kind", ["project", "repo", "branch", "commit", "pipeline", "cluster"])
def test_metadata_is_edited(
    connection: Connection, targets: dict[str, tuple[dict[str, Any], Any]], kind: str
) -> None:
    target, read = targets[kind]
    assert dict(read()) == {}
    change(connection, target, "add_key", key="owner", value="me")
    with pytest.raises(FailedPrecondition) as caught:
        change(connection, target, "add_key", key="owner", value="you")
    assert 'add_key target key "owner" already exists; use edit_key instead' in str(caught.value)
    assert str(caught.value).startswith("apply edits: edit #0: edit ")
    assert dict(read()) == {"owner": "me"}
    change(connection, target, "edit_key", key="owner", value="you")
    change(connection, target, "edit_key", key="other", value="")
    assert dict(read()) == {"owner": "you", "other": ""}
    change(connection, target, "delete_key", key="owner")
    change(connection, target, "delete_key", key="never there")
    assert dict(read()) == {"other": ""}
    change(connection, target, "replace", replacement={"one": "1", "two": "2"})
    assert dict(read()) == {"one": "1", "two": "2"}
    assert [name for name, (_, other) in targets.items() if name != kind and dict(other())] == []


def test_edits_of_a_call_are_done_together_or_not_at_all(connection: Connection) -> None:
    repos.create_repo(connection, "a")
    owner = {"add_key": {"key": "owner", "value": "me"}}
    with pytest.raises(Refused, match=r"^apply edits: edit #1: repo default/none not found; edit #2: "):
        edit(
            connection,
            {"repo": REPO, **owner},
            {"repo": {"name": {**REPO["name"], "name": "none"}}, **owner},  # type: ignore[dict-item]
            {"repo": REPO, **owner},
        )
    assert dict(repos.inspect_repo(connection, "a").metadata) == {}
    edit(connection, {"repo": REPO, **owner}, {"project": {"name": "default"}, **owner})
    assert dict(repos.inspect_repo(connection, "a").metadata) == {"owner": "me"}


def test_metadata_stays_when_its_thing_changes(tmp_path: Path) -> None:
    with testing.server(tmp_path / "d") as running, Connection(running.address) as connection:
        repos.create_repo(connection, "a")
        create_branch(connection, "a@master")
        for target in ({"repo": REPO}, {"branch": BRANCH}, {"project": {"name": "default"}}, {"cluster": {}}):
            change(connection, target, "edit_key", key="k", value="ä")
        repos.create_repo(connection, "a", description="new", update=True)
        put_id(connection, "a@master", {"/x": "1"})
        update = {**PROJECT, "description": "new", "update": True}
        connection.call(PFS, "CreateProject", update)
    with testing.server(tmp_path / "d") as running, Connection(running.address) as connection:
        assert dict(repos.inspect_repo(connection, "a").metadata) == {"k": "ä"}
        assert dict(branches.inspect_branch(connection, "a@master").metadata) == {"k": "ä"}
        assert dict(projects.inspect_project(connection, "default").metadata) == {"k": "ä"}
        assert cluster(connection) == {"k": "ä"}


@pytest.mark.parametrize(
    "wrong, text",
    [
        ({"cluster": {}}, "invalid Edit.Op: value is required"),
        ({"delete_key": {"key": "k"}}, "invalid Edit.Target: value is required"),
        (
            {"cluster": {}, "add_key": {"value": "v"}},
            "invalid Edit_AddKey.Key: value length must be at least 1 runes",
        ),
        (
            {"cluster": {}, "replace": {"replacement": {"": "v"}}},
            "invalid Edit_Replace.Replacement: value length must be at least 1 runes",
        ),
    ],
)
def test_edit_without_a_word_is_refused(connection: Connection, wrong: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        edit(connection, {"cluster": {}, "edit_key": {"key": "k", "value": "v"}}, wrong)
    start = "validate request: invalid EditMetadataRequest.Edits[1]: embedded message failed validation | caused by: "
    assert str(caught.value).startswith(start)
    assert str(caught.value).endswith(text)
    assert cluster(connection) == {}


@pytest.mark.parametrize("kind", ["project", "repo", "branch", "commit", "pipeline"])
def test_picker_of_nothing_is_refused(connection: Connection, kind: str) -> None:
    with pytest.raises(PachletError, match="picker cannot be nil"):
        edit(connection, {kind: {}, "delete_key": {"key": "k"}})
