"""Projects and repos: names, texts of errors, what is listed and what may be deleted."""

from __future__ import annotations

import re

import pytest

from pachlet.client import branches, projects, repos
from pachlet.client.connection import Connection
from pachlet.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound, PachletError, Refused
from tests.acceptance.words import PFS, create_branch, put


def names(infos: list[object]) -> list[str]:
    return [info.repo.name for info in infos]  # type: ignore[attr-defined]


def test_repo_is_created_once(connection: Connection) -> None:
    repos.create_repo(connection, "a", description="first")
    created = repos.inspect_repo(connection, "a").created
    with pytest.raises(AlreadyExists, match=r"^repo default/a already exists$"):
        repos.create_repo(connection, "a")
    repos.create_repo(connection, "a", description="second", update=True)
    repos.create_repo(connection, "new", update=True)
    info = repos.inspect_repo(connection, "a")
    assert (info.description, info.created) == ("second", created)
    assert names(list(repos.list_repo(connection))) == ["a", "new"]


@pytest.mark.parametrize("name", ["a b", "ä", "a/b", "a.b", "a@b", "*", "a\n"])
def test_repo_names_are_checked(connection: Connection, name: str) -> None:
    text = f"name ({name}) invalid: only alphanumeric characters, underscores, and dashes are allowed"
    with pytest.raises(PachletError, match=re.escape(text)):
        connection.call(PFS, "CreateRepo", {"repo": {"name": name}})


def test_repo_that_is_missing(connection: Connection) -> None:
    with pytest.raises(NotFound, match=r"^repo default/none not found$"):
        repos.inspect_repo(connection, "none")
    with pytest.raises(NotFound, match='project "nowhere" not found'):
        connection.call(PFS, "CreateRepo", {"repo": {"name": "a", "project": {"name": "nowhere"}}})
    with pytest.raises(InvalidArgument, match="repo cannot be nil"):
        connection.call(PFS, "CreateRepo", {})
    with pytest.raises(InvalidArgument, match="no repo specified"):
        connection.call(PFS, "DeleteRepo", {})
    assert repos.delete_repo(connection, "none") is False


def test_repo_without_type_or_project_is_the_users_in_default(connection: Connection) -> None:
    connection.call(PFS, "CreateRepo", {"repo": {"name": "a"}})
    info = connection.call(PFS, "InspectRepo", {"repo": {"name": "a"}})
    assert (info.repo.type, info.repo.project.name) == ("user", "default")


def test_system_repo_comes_after_its_user_repo_and_goes_with_it(connection: Connection) -> None:
    with pytest.raises(NotFound, match="repo default/a not found"):
        repos.create_repo(connection, "a.meta")
    repos.create_repo(connection, "a")
    repos.create_repo(connection, "a.meta")
    assert [each.repo.type for each in repos.list_repo(connection, type="")] == ["user", "meta"]
    assert repos.delete_repo(connection, "a") is True
    assert list(repos.list_repo(connection, type="")) == []


def test_size_is_that_of_the_newest_finished_commit_of_master(connection: Connection) -> None:
    repos.create_repo(connection, "a")
    assert repos.inspect_repo(connection, "a").details.size_bytes == 0
    put(connection, "a@master", {"/x": "12345"})
    put(connection, "a@other", {"/x": "1"})
    connection.call(PFS, "StartCommit", {"branch": {"repo": {"name": "a"}, "name": "master"}})
    info = repos.inspect_repo(connection, "a")
    assert (info.details.size_bytes, [each.name for each in info.branches]) == (5, ["other", "master"])


def test_list_is_by_project_and_by_page(connection: Connection) -> None:
    projects.create_project(connection, "p")
    for name in ("a", "b", "c", "d", "e"):
        repos.create_repo(connection, name)
    repos.create_repo(connection, "p/z")
    assert names(list(connection.call(PFS, "ListRepo", {"projects": [{"name": "p"}]}))) == ["z"]
    assert names(list(connection.call(PFS, "ListRepo", {"type": "user"}))) == ["a", "b", "c", "d", "e", "z"]
    page = {"page": {"page_size": 2, "page_index": 1}}
    assert names(list(connection.call(PFS, "ListRepo", page))) == ["c", "d"]


def test_repo_that_another_depends_on_goes_by_force_only(connection: Connection) -> None:
    for name in ("up", "down"):
        repos.create_repo(connection, name)
    create_branch(connection, "down@master", "up@master")
    with pytest.raises(Refused, match="default/down@master as subvenance"):
        repos.delete_repo(connection, "up")
    assert repos.delete_repo(connection, "up", force=True) is True
    info = branches.inspect_branch(connection, "down@master")
    assert list(info.provenance) == []


def test_repos_that_depend_on_each_other_go_together(connection: Connection) -> None:
    projects.create_project(connection, "p")
    for name in ("p/up", "p/down", "other"):
        repos.create_repo(connection, name)
    create_branch(connection, "p/down@master", "p/up@master")
    gone = connection.call(PFS, "DeleteRepos", {"projects": [{"name": "p"}]})
    assert sorted(each.name for each in gone.repos) == ["down", "up"]
    assert list(connection.call(PFS, "DeleteRepos", {}).repos) == []
    assert names(list(repos.list_repo(connection, all_projects=True))) == ["other"]


def test_project_lives_and_dies(connection: Connection) -> None:
    projects.create_project(connection, "p", description="x")
    with pytest.raises(AlreadyExists, match=r"^project p already exists$"):
        projects.create_project(connection, "p")
    with pytest.raises(NotFound):
        connection.call(PFS, "CreateProject", {"project": {"name": "q"}, "update": True})
    repos.create_repo(connection, "p/a")
    with pytest.raises(FailedPrecondition, match="cannot delete project p: repo p/a still exists"):
        connection.call(PFS, "DeleteProject", {"project": {"name": "p"}})
    with pytest.raises(PachletError, match="still exists"):
        connection.call(PFS, "DeleteProject", {"project": {"name": "p"}, "force": True})
    repos.delete_repo(connection, "p/a")
    connection.call(PFS, "DeleteProject", {"project": {"name": "p"}})
    with pytest.raises(NotFound, match='project "p" not found'):
        connection.call(PFS, "DeleteProject", {"project": {"name": "p"}})


@pytest.mark.parametrize(
    "name, text",
    [
        ("_p", "project names must start with an alphanumeric character"),
        ("p" * 52, "is 1 characters longer than the 51 max"),
        ("p q", "only alphanumeric characters"),
        ("", "only alphanumeric characters"),
    ],
)
def test_project_names_are_checked(connection: Connection, name: str, text: str) -> None:
    with pytest.raises(PachletError, match=text):
        connection.call(PFS, "CreateProject", {"project": {"name": name}})


def test_delete_all_leaves_the_default_project(connection: Connection) -> None:
    projects.create_project(connection, "p")
    repos.create_repo(connection, "p/up")
    repos.create_repo(connection, "down")
    create_branch(connection, "down@master", "p/up@master")
    connection.call(PFS, "DeleteAll", {})
    assert list(repos.list_repo(connection, type="", all_projects=True)) == []
    assert [each.project.name for each in projects.list_project(connection)] == ["default"]
