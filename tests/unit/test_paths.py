"""Names, paths and their printed forms."""

from __future__ import annotations

import pytest

from pachlet.errors import Refused
from pachlet.paths import Branch, Commit, Repo, check_file_path, check_name, clean_path

ID = "0123456789ab4def0123456789abcdef"


def test_printed_forms() -> None:
    repo = Repo("default", "images")
    assert str(repo) == "default/images"
    assert str(repo.spec) == "default/images.spec"
    assert str(repo.meta) == "default/images.meta"
    assert str(Branch(repo, "master")) == "default/images@master"
    assert str(Commit(repo.meta, ID)) == f"default/images.meta@{ID}"


def test_values_are_keys_and_sort() -> None:
    repos = [Repo("b", "a"), Repo("a", "z"), Repo("a", "z", "spec")]
    assert sorted(repos) == [Repo("a", "z", "spec"), Repo("a", "z"), Repo("b", "a")]
    assert {Repo("a", "z"): 1}[Repo("a", "z", "user")] == 1


@pytest.mark.parametrize("kind", ["repo", "branch", "project", "pipeline"])
@pytest.mark.parametrize("name", ["a", "A-b_9", "9"])
def test_good_names(kind: str, name: str) -> None:
    check_name(kind, name)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", "a b", "a/b", "a.b", "é", "a\n", "٣"])
@pytest.mark.parametrize("kind", ["repo", "branch", "project"])
def test_bad_characters(kind: str, name: str) -> None:
    with pytest.raises(Refused) as caught:
        check_name(kind, name)  # type: ignore[arg-type]
    wanted = f"name ({name}) invalid: only alphanumeric characters, underscores, and dashes are allowed"
    assert str(caught.value) == wanted


@pytest.mark.parametrize(
    "kind, name, text",
    [
        ("branch", ID, "branch name cannot be a UUID V4"),
        ("project", "-a", "project names must start with an alphanumeric character"),
        ("repo", "r" * 256, f'repo name "{"r" * 256}" is 1 characters longer than the 255 max'),
        ("branch", "b" * 257, f'branch name "{"b" * 257}" is 2 characters longer than the 255 max'),
        ("project", "p" * 53, f'project name "{"p" * 53}" is 2 characters longer than the 51 max'),
        ("pipeline", "_a", "pipeline names must start with an alphanumeric character"),
        ("pipeline", "p" * 52, f'pipeline name "{"p" * 52}" is 1 characters longer than the 51 max'),
        (
            "pipeline",
            "a b",
            "invalid pipeline name: name (a b) invalid: "
            "only alphanumeric characters, underscores, and dashes are allowed",
        ),
    ],
)
def test_refused_names(kind: str, name: str, text: str) -> None:
    with pytest.raises(Refused) as caught:
        check_name(kind, name)  # type: ignore[arg-type]
    assert str(caught.value) == text


def test_pipeline_name_and_project_share_one_label() -> None:
    check_name("pipeline", "P" * 51, project="default")  # 7 + 1 + 51 + 4 = 63, exactly the limit
    with pytest.raises(Refused) as caught:
        check_name("pipeline", "P" * 51, project="default_x")
    label = f"default-x-{'p' * 51}-v99"
    assert str(caught.value) == f'Kubernetes name "{label}" is 2 characters longer than the 63 max'


def test_repo_may_look_like_a_commit_id() -> None:
    check_name("repo", ID)


@pytest.mark.parametrize(
    "path, clean",
    [
        ("", "/"),
        (".", "/"),
        ("/", "/"),
        ("//", "/"),
        ("a", "/a"),
        ("/a", "/a"),
        ("a/", "/a"),
        ("//a//b/", "/a/b"),
        ("/a/./b", "/a/b"),
        ("/a/../b", "/b"),
        ("/..", "/"),
    ],
)
def test_clean_path(path: str, clean: str) -> None:
    assert clean_path(path) == clean
    assert clean_path(clean) == clean


def test_a_path_has_an_end() -> None:
    check_file_path("/" + "a" * 4095)
    with pytest.raises(Refused, match=r"^path \(/a+\) invalid: it is longer than 4096 characters$"):
        check_file_path("/" + "a" * 4096)


@pytest.mark.parametrize("path", ["/a", "a b", "/a/b.c", "/~", "/a..b", "/...", "/#$%&',-;<=>_`|"])
def test_good_file_paths(path: str) -> None:
    check_file_path(path)


@pytest.mark.parametrize(
    "path, why",
    [
        ("", "only printable ASCII characters allowed"),
        ("/ä", "only printable ASCII characters allowed"),
        ("/a\n", "only printable ASCII characters allowed"),
        ("/a*b", "globbing character (*) not allowed in path"),
        ("/a]?", "globbing character (]) not allowed in path"),
        ("/a/../b", "relative file paths are not allowed"),
        ("./b", "relative file paths are not allowed"),
    ],
)
def test_refused_file_paths(path: str, why: str) -> None:
    with pytest.raises(Refused) as caught:
        check_file_path(path)
    assert str(caught.value) == f"path ({path}) invalid: {why}"
