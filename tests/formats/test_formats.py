"""A data directory of every format that ever landed opens, is upgraded, and reads back byte for byte.

Read next: make.py (what is in them).
"""

from __future__ import annotations

import sqlite3
import tarfile
from pathlib import Path

import pytest

from pachlet import testing
from pachlet.client import commits, jobs, repos
from pachlet.client.connection import Connection
from pachlet.client.put_file import from_bytes, put_file
from pachlet.client.storage import check_chunks, collect_garbage, fsck
from pachlet.metadb.connect import FORMAT, Database
from tests.formats.make import COMMITS, FOLDER, OPEN

ARCHIVES = sorted(FOLDER.glob("format_*.tar.gz"))


def unpack(archive: Path, folder: Path) -> Path:
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return folder


def read(connection: Connection, repo: str, commit: str, path: str) -> bytes:
    name = {"repo": {"name": repo, "type": "user"}, "id": commit}
    request = {"file": {"commit": name, "path": path}}
    return b"".join(each.value for each in connection.call("pfs_v2.API", "GetFile", request))


def schema(path: Path) -> list[tuple[str, str]]:
    """Return what a database consists of, without regard to how it is laid out in text."""
    connection = sqlite3.connect(path)
    rows = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name"
    ).fetchall()
    connection.close()
    return [(name, " ".join(sql.split())) for name, sql in rows]


def test_there_is_a_data_directory_of_every_format() -> None:
    assert [archive.name for archive in ARCHIVES] == [
        f"format_{number}.tar.gz" for number in range(1, FORMAT + 1)
    ]
    assert sum(archive.stat().st_size for archive in ARCHIVES) < 100_000 * FORMAT


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda archive: archive.name.partition(".")[0])
def test_a_data_directory_opens_and_reads_back(archive: Path, tmp_path: Path) -> None:
    folder = unpack(archive, tmp_path / "data")
    with testing.server(folder) as server, Connection(server.address) as connection:
        assert [each.repo.name for each in repos.list_repo(connection)] == ["data", "count", "opened"]
        assert repos.inspect_repo(connection, "data").description == "ünïcode"
        line = list(commits.list_commit(connection, repo="data"))[::-1]
        wanted: dict[str, bytes] = {}
        for info, files in zip(line, COMMITS, strict=True):
            wanted |= files
            for path in [*files, "/a"]:
                assert read(connection, "data", info.commit.id, path) == wanted[path]
            assert info.details.size_bytes == sum(map(len, wanted.values()))
        [job] = jobs.list_job(connection, pipeline="count")
        assert jobs.state_of(job) == "JOB_SUCCESS"
        info = jobs.inspect_job(connection, f"count@{job.job.id}")
        assert (info.data_total, info.data_processed, info.data_skipped) == (1, 1, 0)
        assert (info.stats.download_bytes, info.stats.upload_bytes) == (4, 2)
        assert read(connection, "count", job.job.id, "/lines") == b"1\n"
        [head] = commits.list_commit(connection, repo="opened")
        for path, data in OPEN.items():
            assert read(connection, "opened", head.commit.id, path) == data
        # It goes on: the open commit is finished, garbage is collected, nothing is damaged.
        commits.finish_commit(connection, f"opened@{head.commit.id}")
        put_file(connection, "data@master", [from_bytes("/new", b"new")])
        report = collect_garbage(connection, lambda step: None, dry_run=False, grace=None, slack_percent=0)
        assert report.chunks == 1
        assert not [each.error for each in fsck(connection, zombies=True)]
        assert check_chunks(connection) > 300
        for path, data in OPEN.items():
            assert read(connection, "opened", head.commit.id, path) == data


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda archive: archive.name.partition(".")[0])
def test_an_upgraded_database_is_like_a_new_one(archive: Path, tmp_path: Path) -> None:
    old = unpack(archive, tmp_path / "old") / "pachlet.db"
    Database(old).close()
    Database(tmp_path / "new.db").close()
    assert schema(old) == schema(tmp_path / "new.db")
