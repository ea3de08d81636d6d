"""Purge, as an owner of data types it: what goes, what stays, and what everything else says of it afterwards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pachlet import testing
from pachlet.client import repos
from pachlet.client.connection import Connection
from pachlet.client.datums import list_datum
from pachlet.client.get_file import get_bytes
from pachlet.client.watch import head_of, wait_for
from pachlet.errors import FailedPrecondition, PachletError
from pachlet.pps import recording
from pachlet.testing import RunningServer
from tests.acceptance.server_process import ServerProcess
from tests.acceptance.typed import Terminal
from tests.acceptance.words import create, ended, last_job, pfs_input, put, shell

WHO = "Ada Lovelace, born 1815 in London\nher heart beats 81 times a minute\n"
OTHER = "Charles Babbage, born 1791 in London\n"


@pytest.fixture
def type(server: RunningServer, tmp_path: Path) -> Terminal:
    return Terminal(server.address, tmp_path)


def found_in(folder: Path, words: str) -> list[str]:
    """Return the files of a data directory that hold some words as they are."""
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and words.encode() in path.read_bytes()
    )


@pytest.fixture
def patients(connection: Connection) -> Connection:
    """Two patients, a pipeline that copies them, one that counts letters, and a log that quotes a line."""
    repos.create_repo(connection, "patients")
    put(connection, "patients@master", {"/ada": WHO, "/charles": OTHER})
    create(
        connection, shell("copy", "cp /pfs/patients/* /pfs/out; cat /pfs/patients/*", pfs_input("patients"))
    )
    count = 'for each in /pfs/copy/*; do wc -c < "$each" > "/pfs/out/$(basename "$each")"; done'
    assert ended(create(connection, shell("count", count, pfs_input("copy"))))[:2] == ("SUCCESS", 2)
    return connection


def test_a_file_is_gone_with_all_its_copies_and_the_rest_stays(
    patients: Connection, server: RunningServer, type: Terminal
) -> None:
    plan = type.ok("purge", "patients@master:/ada", "--dry-run").out
    assert "would be purged: 68B in 1 chunk, which are" in plan
    assert "default/copy@" in plan
    assert "default/copy.meta@" in plan
    made = plan.partition("made of it, and not purged with it")[2]
    assert "default/count@" in made
    assert "/charles" not in plan
    assert "quoted in 2 lines of logs or reasons (--include-logs rewrites them):\n  default/copy@" in plan
    assert get_bytes(patients, "patients@master:/ada") == WHO.encode()
    refused = type.run("purge", "patients@master:/ada", "--reason", "GDPR request 12", given="n\n")
    assert (refused.status, refused.out) == (1, "")
    assert "nothing was purged" in refused.err
    assert found_in(server.data_dir, "Ada Lovelace")
    said = type.ok(
        *("purge", "patients@master:/ada", "--reason", "GDPR request 12", "--author", "dpo@clinic"),
        *("--include-logs", "--yes"),
    ).out
    assert "by dpo@clinic: GDPR request 12" in said
    assert "backups that were taken before hold these bytes until you delete them" in said
    assert found_in(server.data_dir, "Ada Lovelace") == []
    assert found_in(server.data_dir, "her heart") == []
    assert "her heart" not in type.ok("logs", "-p", "copy").out
    assert get_bytes(patients, "copy@master:/charles") == OTHER.encode()
    assert get_bytes(patients, "count@master:/ada").strip() == b"68"
    failed = type.run("get", "file", "copy@master:/ada")
    assert failed.status == 1
    for word in ("patients@", ":/ada was purged on ", " by dpo@clinic: GDPR request 12 (purge "):
        assert word in failed.err
    assert "68B" in type.ok("list", "file", "copy@master").out
    assert "/ada" in type.ok("inspect", "file", "patients@master:/ada").out
    [row] = json.loads("[" + type.ok("purge", "--list", "--raw").out + "]")
    assert (row["author"], row["reason"], row["is_done"]) == ("dpo@clinic", "GDPR request 12", True)
    assert "GDPR request 12" in type.ok("purge", "--list").out


def test_what_everything_else_says_of_a_purged_file(
    patients: Connection, server: RunningServer, type: Terminal, tmp_path: Path
) -> None:
    old = tmp_path / "old-backup"
    type.ok("backup", str(old))
    type.ok("purge", "patients@master:/ada", "--reason", "she asked", "--yes", "--include-logs")
    assert "(purged: default/patients@" in type.ok("trace", "count@master:/ada").out
    assert "purged" not in type.ok("trace", "count@master:/charles").out
    [traced] = [
        each
        for each in json.loads(type.ok("trace", "count@master:/ada", "-o", "json").out)["files"]
        if each["repo"] == "patients"
    ]
    assert "she asked" in traced["purged"]
    verified = type.run("verify", "copy@master")
    assert verified.status == 3
    assert "can't verify" in verified.out + verified.err
    assert "purged" in verified.out + verified.err
    assert "1 of 2" in verified.out + verified.err
    assert type.ok("fsck", "--read").out == "No errors found.\n"
    type.ok("gc")
    type.ok("du")
    refused = type.run("backup", str(old))
    assert "had something purged" in refused.err
    new, restored = tmp_path / "new-backup", tmp_path / "restored"
    type.ok("backup", str(new))
    assert found_in(new, "Ada Lovelace") == []
    type.ok("restore", str(new), "--data-dir", str(restored))
    with testing.server(restored) as again, Connection(again.address) as there:
        with pytest.raises(FailedPrecondition, match="she asked"):
            get_bytes(there, "patients@master:/ada")
        assert get_bytes(there, "patients@master:/charles") == OTHER.encode()
    type.ok("copy", "file", "patients@master:/ada", "patients@master:/moved")
    with pytest.raises(FailedPrecondition, match="she asked"):
        get_bytes(patients, "patients@master:/moved")
    put(patients, "patients@master", {"/ada": "new words of hers, which are others"})
    diff = type.run("diff", "file", "patients@master:/ada", "patients@master^:/ada")
    assert diff.status == 1
    assert "she asked" in diff.err


def test_a_pipeline_that_needs_purged_bytes_or_makes_them_again_fails_and_says_so(
    patients: Connection, type: Terminal
) -> None:
    type.ok("purge", "patients@master:/ada", "--reason", "she asked", "--yes")
    needs = create(patients, shell("needs", "cat /pfs/patients/*", pfs_input("patients")))
    assert ended(needs)[0] == "FAILURE"
    assert "was purged on" in needs.reason
    assert "she asked" in needs.reason
    script = f"printf %s '{WHO}' > /pfs/out/again"
    makes = create(patients, shell("makes", script, pfs_input("patients", "/charles")))
    assert ended(makes)[0] == "FAILURE"
    assert "may not be stored any more" in makes.reason
    with pytest.raises(PachletError, match="may not be stored any more"):
        put(patients, "patients@master", {"/again": WHO})
    put(patients, "patients@master", {"/charles": OTHER + "died 1871 in London\n"})
    assert ended(last_job(patients, "copy"))[:3] == ("SUCCESS", 1, 1)
    id = json.loads(type.ok("purge", "--list", "--raw").out)["id"]
    type.ok("purge", "--lift", id)
    put(patients, "patients@master", {"/ada": WHO})
    assert get_bytes(patients, "copy@master:/ada") == WHO.encode()


def test_a_datum_that_makes_purged_bytes_takes_none_of_those_beside_it_along(
    patients: Connection, type: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "_GATHER", 600)  # all datums of the job are recorded together
    type.ok("purge", "patients@master:/ada", "--reason", "she asked", "--yes")
    put(patients, "patients@master", {f"/{number}": f"patient {number}" for number in range(3)})
    wait_for(
        patients, [head_of(patients, "patients@master")]
    )  # the last datum of another job ends the waiting
    script = f"if [ -e /pfs/patients/1 ]; then printf %s '{WHO}'; else echo fine; fi > /pfs/out/$(ls /pfs/patients)"
    info = create(patients, shell("makes", script, pfs_input("patients", "/[012]")))
    assert (ended(info)[0], info.data_processed) == ("FAILURE", 2)
    assert "may not be stored any more" in info.reason
    recorded = [each.data[0].file.path for each in list_datum(patients, f"makes@{info.job.id}")]
    assert sorted(recorded) == ["/0", "/2"]


def test_wrong_words_are_told(patients: Connection, type: Terminal) -> None:
    for words, said in (
        (("patients@master:/ada",), "a purge needs a reason"),
        (("patients@master", "--reason", "x"), "names no file"),
        ((), "name the files to purge"),
        (("patients@master:/eve", "--reason", "x", "--yes"), "file /eve not found in repo"),
        (("--lift", "123"), "there is no purge 123"),
    ):
        ran = type.run("purge", *words)
        assert ran.status
        assert said in ran.err


def test_a_server_that_is_killed_in_a_purge_finishes_it(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    dies = (
        "import os, signal; from pachlet.storage import wiping;"
        "wiping._overwrite = lambda *_: os.kill(os.getpid(), signal.SIGKILL);"
    )
    with ServerProcess(data_dir, before=dies) as server, Connection(server.address) as there:
        repos.create_repo(there, "patients")
        put(there, "patients@master", {"/ada": WHO, "/charles": OTHER})
        ran = Terminal(server.address, tmp_path).run(
            "purge", "patients@master:/ada", "--reason", "x", "--yes"
        )
        assert ran.status == 1
        assert "Traceback" not in ran.err
        server.process.communicate(timeout=30)
    assert found_in(data_dir, "Ada Lovelace")
    with ServerProcess(data_dir) as server, Connection(server.address) as there:
        assert found_in(data_dir, "Ada Lovelace") == []
        with pytest.raises(FailedPrecondition, match="was purged on"):
            get_bytes(there, "patients@master:/ada")
        assert get_bytes(there, "patients@master:/charles") == OTHER.encode()
        listed = Terminal(server.address, tmp_path).ok("purge", "--list", "--raw").out
        assert json.loads(listed)["is_done"]
