"""What a user types becomes the nested names of a request."""

from __future__ import annotations

from typing import Any

import pytest

from pachlet.client import names
from pachlet.errors import Usage
from pachlet.wire import schema

ID = "0123456789ab4def0123456789abcdef"
REPO = {"name": "r", "type": "user", "project": {"name": "p"}}


@pytest.mark.parametrize(
    "text, expected",
    [
        ("r", REPO),
        ("q/r", {**REPO, "project": {"name": "q"}}),
        ("r.meta", {**REPO, "type": "meta"}),
    ],
)
def test_repo(text: str, expected: dict[str, Any]) -> None:
    assert names.repo("p", text) == expected


@pytest.mark.parametrize(
    "text, branch, identifier",
    [
        ("r@master", "master", ""),
        (f"r@{ID}", "", ID),
        (f"r@master={ID}", "master", ID),
        ("r@master^", "", "master^"),
        ("r@master~3", "", "master~3"),
        ("r@master.1", "", "master.1"),
        (f"r@{ID}^2", "", f"{ID}^2"),
    ],
)
def test_commit(text: str, branch: str, identifier: str) -> None:
    commit = names.commit("p", text)
    assert (commit.get("branch", {}).get("name", ""), commit["id"]) == (branch, identifier)
    assert commit["repo"] == REPO


@pytest.mark.parametrize("text, path", [("r@b:/a b/c.csv", "/a b/c.csv"), ("r@b", ""), ("r@b:x:y", "x:y")])
def test_file(text: str, path: str) -> None:
    named = names.file("p", text)
    assert named["path"] == path
    assert named["commit"]["branch"]["name"] == "b"


@pytest.mark.parametrize(
    "kind, text",
    [
        ("repo", ""),
        ("repo", "/r"),
        ("branch", "r"),
        ("branch", f"r@{ID}"),
        ("branch", "r@master^"),
        ("commit", "r"),
        ("commit", "@b"),
        ("commit", "r@b:/x"),
        ("file", "r"),
        ("job", "p"),
        ("job", "p@"),
        ("pipeline", ""),
    ],
)
def test_what_names_nothing_is_refused(kind: str, text: str) -> None:
    with pytest.raises(Usage):
        getattr(names, kind)("p", text)


def test_printed_names_are_what_can_be_typed() -> None:
    file = schema.message("pfs_v2.File")(**names.file("p", f"r.meta@{ID}:/x"))
    assert names.show_file(file) == f"p/r.meta@{ID}:/x"
    assert schema.message("pfs_v2.File")(**names.file("other", names.show_file(file))) == file
    job = schema.message("pps_v2.Job")(**names.job("p", f"edges@{ID}"))
    assert names.show_job(job) == f"p/edges@{ID}"
