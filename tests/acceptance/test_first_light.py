"""Repos, files and pipelines through the client, on a real server with real processes."""

from __future__ import annotations

from pachlet.client import files, jobs, pipelines, repos, watch
from pachlet.client.connection import Connection
from pachlet.client.get_file import get_bytes
from pachlet.client.put_file import from_bytes, put_file


def count_lines() -> dict[str, object]:
    return {
        "pipeline": {"name": "count"},
        "transform": {
            "image": "alpine",
            "cmd": ["sh"],
            "stdin": ["for f in /pfs/lines/*; do wc -l <$f >/pfs/out/$(basename $f); done"],
        },
        "input": {"pfs": {"repo": "lines", "glob": "/*"}},
    }


def test_put_get_and_append(connection: Connection) -> None:
    repos.create_repo(connection, "lines")
    put_file(connection, "lines@master", [from_bytes("/a/b.txt", b"one\n")])
    put_file(connection, "lines@master", [from_bytes("/a/b.txt", b"two\n")], append=True)
    assert get_bytes(connection, "lines@master:/a/b.txt") == b"one\ntwo\n"
    assert get_bytes(connection, "lines@master^:/a/b.txt") == b"one\n"
    assert [each.file.path for each in files.walk_file(connection, "lines@master:/")] == [
        "/",
        "/a/",
        "/a/b.txt",
    ]


def test_pipeline_processes_only_what_changed(connection: Connection) -> None:
    repos.create_repo(connection, "lines")
    put_file(connection, "lines@master", [from_bytes("/a", b"1\n"), from_bytes("/b", b"1\n2\n")])
    pipelines.create_pipeline(connection, count_lines())
    first = watch.wait_until_idle(connection, ["default"])
    assert [(each.state, each.processed, each.skipped) for each in first] == [("JOB_SUCCESS", 2, 0)]
    put_file(connection, "lines@master", [from_bytes("/b", b"1\n2\n3\n")])
    (second,) = watch.wait_until_idle(connection, ["default"]) or watch.wait_for(
        connection, [watch.head_of(connection, "lines@master")]
    )
    assert (second.state, second.processed, second.skipped) == ("JOB_SUCCESS", 1, 1)
    assert get_bytes(connection, "count@master:/b").strip() == b"3"
    files.delete_file(connection, "lines@master", ["/a"])
    watch.wait_for(connection, [watch.head_of(connection, "lines@master")])
    assert [each.file.path for each in files.list_file(connection, "count@master:/")] == ["/b"]
    assert jobs.state_of(next(iter(jobs.list_job(connection, pipeline="count")))) == "JOB_SUCCESS"
