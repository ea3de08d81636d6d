"""Why a datum ran or was kept: what the command says for each cause, of pachlet and of a server that is not."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from pachlet.cli import main
from pachlet.cli.session import Session
from pachlet.client import jobs, pipelines, repos
from pachlet.client.connection import Connection
from pachlet.client.why import Why, why
from pachlet.errors import NotFound, Unimplemented, Usage
from pachlet.remote.datum import datum_of_job
from pachlet.testing import RunningServer
from tests.acceptance.words import create, delete, last_job, modify, pfs_input, put, shell

IN = pfs_input("in")
COPY = "cp -r $in /pfs/out/"


@pytest.fixture
def repo(connection: Connection) -> Connection:
    repos.create_repo(connection, "in")
    put(connection, "in@master", {"/a": "1", "/b": "2"})
    return connection


def asked(connection: Connection, wanted: str, pipeline: str = "p") -> Why:
    return why(connection, f"{pipeline}@{last_job(connection, pipeline).job.id}", wanted)


def kinds(found: Why) -> list[str]:
    return [each.kind for each in found.differences]


def test_first_job_has_nothing_to_keep(repo: Connection) -> None:
    create(repo, shell("p", COPY, IN))
    found = asked(repo, "/a")
    assert (found.state, found.base, kinds(found)) == ("SUCCESS", "", [])
    assert found.sentences == (
        "It ran: no earlier job of default/p ended well, so there was nothing to keep.",
    )


def test_folder_has_only_the_files_that_are_in_it(repo: Connection) -> None:
    create(repo, shell("p", "true", pfs_input("in", "/")))
    job = f"p@{last_job(repo, 'p').job.id}"
    assert why(repo, job, "/a").datum == datum_of_job(repo, job, "/b").id
    with pytest.raises(NotFound, match=r"has a datum with /nope"):
        why(repo, job, "/nope")
    with pytest.raises(NotFound, match=r"has no datum with /nope"):
        datum_of_job(repo, job, "/nope")


def test_kept_new_changed_and_gone(repo: Connection) -> None:
    first = create(repo, shell("p", COPY, IN))
    modify(repo, "in@master", delete("/b"))
    put(repo, "in@master", {"/a": "11", "/c": "3"})
    middle = last_job(repo, "p")
    put(repo, "in@master", {"/d": "4"})
    kept = asked(repo, "/a")
    assert (kept.state, kept.made_by, kept.base) == ("SKIPPED", middle.job.id, middle.job.id)
    assert kept.sentences[0].startswith(
        f"Kept: its files and the salt are what they were when job {middle.job.id}"
    )
    changed = why(repo, f"p@{middle.job.id}", "/a")
    assert kinds(changed) == ["changed"]
    assert "/a of in changed: 1 to 2 bytes, hash " in changed.differences[0].sentence
    new = why(repo, f"p@{middle.job.id}", "/c")
    assert kinds(new) == ["new"]
    assert "/c of in is new, in commit " in new.sentences[1]
    assert asked(repo, new.datum[:20]).state == "SKIPPED"
    assert asked(repo, new.datum).datum == new.datum
    deleting = list(jobs.list_job(repo, "p"))[2]
    gone = why(repo, f"p@{deleting.job.id}", "/b")
    assert (gone.state, gone.made_by) == ("GONE", first.job.id)
    assert gone.sentences[1] == "/b of in was deleted."
    with pytest.raises(NotFound, match="nor the job before has a datum with /none"):
        asked(repo, "/none")


def test_other_input_makes_other_datums(repo: Connection) -> None:
    put(repo, "in@master", {"/d/x": "1"})
    create(repo, shell("p", COPY, IN))
    create(repo, shell("p", COPY, pfs_input("in", "/d/*")), update=True)
    found = asked(repo, "/d/x")
    assert kinds(found) == ["input"]
    assert found.differences[0].sentence == (
        "The glob of input in is '/d/*' since version 2 (it was 1), and was '/*'."
    )
    renamed = pfs_input("in", "/d/*", name="other")
    create(repo, shell("p", "cp $other /pfs/out/", renamed), update=True)
    assert kinds(asked(repo, "/d/x")) == ["input", "input"]


def test_reprocess_every_job_and_earlier_failures(repo: Connection) -> None:
    spec = shell("p", f"case $in in */b) exit 1;; esac; {COPY}", IN, transform={"err_cmd": ["true"]})
    create(repo, spec)
    create(repo, spec, update=True)
    found = asked(repo, "/b")
    assert (found.state, kinds(found)) == ("RECOVERED", ["recovered"])
    assert found.sentences[0].startswith("It ran, failed and was recovered by err_cmd; compared with job ")
    create(repo, spec, update=True, reprocess=True)
    assert kinds(asked(repo, "/a")) == ["reprocessed"]
    create(repo, {**spec, "reprocess_spec": "every_job"}, update=True)
    assert kinds(asked(repo, "/a")) == ["every-job"]


def test_failed_job_is_nothing_to_compare_with(repo: Connection) -> None:
    create(repo, shell("p", "exit 1", IN))
    assert asked(repo, "/a").sentences[0].startswith("It ran and failed: no earlier job")
    create(repo, shell("p", COPY, IN), update=True)
    assert asked(repo, "/a").base == ""


def test_code_that_is_other_and_what_an_update_asked(repo: Connection) -> None:
    create(repo, shell("p", COPY, IN))
    other = shell("p", f": # other\n{COPY}", IN)
    create(repo, other, update=True)
    kept = asked(repo, "/a")
    assert "under the policy upstream that makes nothing run again" in kept.sentences[1]
    create(repo, pipelines.with_annotation(other, "pachlet/reprocess", "/b"), update=True)
    assert kinds(asked(repo, "/b")) == ["asked"]
    assert asked(repo, "/a").state == "SKIPPED"
    aware = pipelines.with_annotation(shell("p", f": # more\n{COPY}", IN), "pachlet/skip", "code-aware")
    create(repo, aware, update=True)
    found = asked(repo, "/a")
    assert (kinds(found), found.state) == (["code"], "SUCCESS")


def test_reference_that_changed_is_no_difference(repo: Connection) -> None:
    repos.create_repo(repo, "model")
    put(repo, "model@master", {"/w": "1"})
    crossed = {"cross": [IN, pfs_input("model", "/", reference=True)]}
    create(repo, shell("p", COPY, crossed))
    put(repo, "model@master", {"/w": "2"})
    assert asked(repo, "/a").state == "SKIPPED"
    put(repo, "in@master", {"/a": "new"})
    assert kinds(asked(repo, "/a")) == ["changed"]


def test_several_datums_are_not_one(repo: Connection) -> None:
    repos.create_repo(repo, "model")
    put(repo, "model@master", {"/w": "1", "/v": "2"})
    create(repo, shell("p", COPY, {"cross": [IN, pfs_input("model")]}))
    with pytest.raises(Usage, match=r"several datums of default/p@\w+ have /a: "):
        asked(repo, "/a")


def test_other_servers_tell_less(repo: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    create(repo, shell("p", COPY, IN))
    put(repo, "in@master", {"/a": "other"})
    last_job(repo, "p")
    call: Callable[..., Any] = Connection.call

    def as_pachyderm(self: Connection, service: str, *rest: Any, **more: Any) -> Any:
        if service.startswith("pachlet."):
            raise Unimplemented(f"unknown service {service}")
        return call(self, service, *rest, **more)

    monkeypatch.setattr(Connection, "call", as_pachyderm)
    assert kinds(asked(repo, "/a")) == ["changed"]
    kept = asked(repo, "/b")
    assert kept.state == "SKIPPED"
    assert "is not a pachlet server" in kept.sentences[-1]


def test_command_prints_sentences_or_data(server: RunningServer, repo: Connection) -> None:
    create(repo, shell("p", COPY, IN))
    put(repo, "in@master", {"/a": "22"})
    id = last_job(repo, "p").job.id

    def typed(*words: str) -> str:
        out = io.StringIO()
        session = Session({"PACHD_ADDRESS": server.address, "PACH_CONFIG": "/nonexistent"}, out=out, err=out)
        assert main.run(session, words) == 0, out.getvalue()
        session.close()
        return out.getvalue()

    said = typed("why", f"p@{id}", "/a")
    assert typed("why", "p@master", "/a") == said
    assert "no earlier job of default/p ended well" in typed("why", "p@master^", "/a")
    assert f"of default/p@{id}: success" in said
    assert "/a of in changed: 1 to 2 bytes" in said
    assert json.loads(typed("why", f"p@{id}", "/b", "-o", "json"))["state"] == "SKIPPED"
