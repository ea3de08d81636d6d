"""Listings with many files to an answer say what the ones of Pachyderm's API say."""

from __future__ import annotations

from typing import Any

import pytest

from pachlet.client import files, repos
from pachlet.client.connection import Connection
from pachlet.client.names import file
from pachlet.client.put_file import from_bytes, put_file
from pachlet.errors import NotFound, Refused, Unimplemented
from tests.acceptance.words import PFS, paths

A = "a@master"
COUNT = 2100


@pytest.fixture
def repo(connection: Connection) -> Connection:
    repos.create_repo(connection, "a")
    put_file(connection, A, [from_bytes(f"/d/{number:04}", b"%d" % number) for number in range(COUNT)])
    return connection


def requests(path: str, pattern: str) -> dict[str, dict[str, Any]]:
    named = file("default", f"{A}:{path}")
    return {
        "ListFile": {"file": named},
        "WalkFile": {"file": named},
        "GlobFile": {"commit": named["commit"], "pattern": pattern},
    }


@pytest.mark.parametrize("method", ["ListFile", "WalkFile", "GlobFile"])
def test_batches_hold_the_same(repo: Connection, method: str) -> None:
    request = requests("/d", "/d/*")[method]
    batches = [list(each.infos) for each in repo.call(files.LISTING, method, request)]
    singles = list(repo.call(PFS, method, request))
    assert [each for batch in batches for each in batch] == singles
    assert len(singles) == COUNT + (method == "WalkFile")
    assert len(batches) < COUNT / 100
    some = (
        {**request, "number": 7} if method != "GlobFile" else {**request, "path_range": {"upper": "/d/0007"}}
    )
    assert [each for a in repo.call(files.LISTING, method, some) for each in a.infos] == singles[:7]


def test_nothing_there_is_the_same_error(repo: Connection) -> None:
    for service in (PFS, files.LISTING):
        with pytest.raises(NotFound, match="file /none not found"):
            list(repo.call(service, "WalkFile", requests("/none", "")["WalkFile"]))
        with pytest.raises(Refused, match="never closed"):
            list(repo.call(service, "GlobFile", requests("/", "/[")["GlobFile"]))
        assert list(repo.call(service, "ListFile", requests("/none", "")["ListFile"])) == []


def test_a_pachyderm_is_asked_file_by_file(repo: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    call, asked = Connection.call, []

    def without(self: Connection, service: str, method: str, *given: Any, **more: Any) -> Any:
        asked.append(service)
        if service == files.LISTING:
            raise Unimplemented("unknown service pachlet.v1.Listing")
        return call(self, service, method, *given, **more)

    expected = paths(files.glob_file(repo, f"{A}:/d/00*"))
    monkeypatch.setattr(Connection, "call", without)
    assert paths(files.glob_file(repo, f"{A}:/d/00*")) == expected
    assert asked == [files.LISTING, PFS]
