"""Reading the input of an effective spec into a tree."""

from __future__ import annotations

from typing import Any

import pytest

from pachlet.errors import Refused, Unimplemented
from pachlet.paths import Branch, Repo
from pachlet.pps.inputs import CronInput, CrossInput, GroupInput, JoinInput, PfsInput, UnionInput, parse_input


def pfs(repo: str, **more: Any) -> dict[str, Any]:
    return {
        "pfs": {"repo": repo, "name": repo, "repo_type": "user", "branch": "master", "glob": "/*", **more}
    }


def test_pfs_with_every_field() -> None:
    spec = pfs(
        "images",
        name="in",
        project="other",
        branch="dev",
        glob="/(*)",
        join_on="$1",
        outer_join=True,
        group_by="$1",
        lazy=True,
        empty_files=True,
        reference=True,
        propagation_spec={"never": True},
        commit="c",
    )
    assert parse_input(spec, "default") == PfsInput(
        name="in",
        repo=Repo("other", "images"),
        branch="dev",
        glob="/(*)",
        join_on="$1",
        outer_join=True,
        group_by="$1",
        lazy=True,
        empty_files=True,
        reference=True,
        propagates=False,
        commit="c",
    )


def test_project_is_the_pipelines() -> None:
    assert parse_input(pfs("a"), "crypto").branches() == [Branch(Repo("crypto", "a"), "master")]


@pytest.mark.parametrize(
    "kind, made",
    [("cross", CrossInput), ("union", UnionInput), ("join", JoinInput), ("group", GroupInput)],
)
def test_combined(kind: str, made: Any) -> None:
    tree = parse_input({kind: [pfs("b"), pfs("a")]}, "default")
    assert type(tree) is made
    assert [leaf.name for leaf in tree.visit()] == ["b", "a"]  # the order is the spec's


def test_branches_are_listed_once() -> None:
    cron = {"cron": {"name": "tick", "repo": "p_tick", "spec": "@daily"}}
    tree = parse_input({"cross": [{"union": [pfs("a"), pfs("b")]}, pfs("a", name="again"), cron]}, "d")
    assert list(map(str, tree.branches())) == ["d/a@master", "d/b@master", "d/p_tick@master"]


def test_cron_reads_its_repo_as_pfs_would() -> None:
    spec = {
        "name": "tick",
        "repo": "p_tick",
        "spec": "@daily",
        "start": "2026-01-01T00:00:00Z",
        "commit": "c",
    }
    tree = parse_input({"cron": spec}, "d")
    assert isinstance(tree, CronInput)
    assert tree.as_pfs() == PfsInput("tick", Repo("d", "p_tick"), "master", "/*", commit="c", is_cron=True)


def test_no_input_set() -> None:
    with pytest.raises(Refused, match=r"^no input set$"):
        parse_input({"cross": [{}]}, "default")


def test_multiple_input_types() -> None:
    with pytest.raises(Refused, match=r"^multiple input types set$"):
        parse_input(pfs("a") | {"cross": []}, "default")


def test_s3_is_not_there_yet() -> None:
    with pytest.raises(Unimplemented, match="S3 gateway"):
        parse_input(pfs("a", s3=True, glob="/"), "default")
