"""pachlet notify: one letter for each broken job set, with all that is needed, and never two."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from pachlet.cli import main
from pachlet.cli.session import Session
from pachlet.client import jobs, pipelines, repos
from pachlet.client.connection import Connection
from pachlet.notify.channels import Channel, NotDelivered
from pachlet.notify.letter import Letter
from pachlet.notify.mail import Mail
from pachlet.notify.memory import Memory
from pachlet.notify.watch import Wanted, Watcher
from pachlet.notify.webhook import Webhook
from tests.acceptance.server_process import ServerProcess
from tests.acceptance.words import create, last_job, pfs_input, put_id, shell
from tests.local_mail import MailServer, Receiver, mail_server, receiver

# That the test's own mail server has no certificate is what is tested.
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")

CHECK = "for f in /pfs/raw/*; do grep -q good $f || { echo no good: $f; exit 3; }; cp $f /pfs/out; done"


@pytest.fixture
def smtp() -> Iterator[MailServer]:
    with mail_server() as serving:
        yield serving


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as serving:
        yield serving


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    kept = Memory(tmp_path / "state")
    yield kept
    kept.close()


def chain(connection: Connection) -> None:
    """Make three pipelines in a row over repo `raw`; the first fails for each file that is not good."""
    repos.create_repo(connection, "raw")
    put_id(connection, "raw@master", {"/a": "good"})
    create(connection, shell("check", CHECK, pfs_input("raw")))
    create(connection, shell("copy", "cp /pfs/check/* /pfs/out", pfs_input("check")))
    create(connection, shell("count", "ls /pfs/copy | wc -l > /pfs/out/n", pfs_input("copy", "/")))


def break_it(connection: Connection, name: str = "/b") -> str:
    """Put a file that fails; return the id of the job set once all of it is over."""
    id = put_id(connection, "raw@master", {name: "bad"})
    assert {jobs.state_of(each) for each in jobs.inspect_jobset(connection, id, wait=True)} == {
        "JOB_FAILURE",
        "JOB_UNRUNNABLE",
    }
    return id


def mail_to(smtp: MailServer) -> Mail:
    return Mail(smtp.host, smtp.port, "pachlet@example.org", ["ann@example.org", "bob@example.org"])


def typed(connection: Connection, *words: str, **environ: str) -> tuple[int, str, str]:
    """Type `pachlet notify`; return its status and what it wrote."""
    out, err = io.StringIO(), io.StringIO()
    server = {"PACHD_ADDRESS": str(connection.address), "PACH_CONFIG": "/nowhere/config.json"}
    session = Session({**server, **environ}, out=out, err=err, program="pachlet")
    return main.run(session, ("notify", *words)), out.getvalue(), err.getvalue()


@contextmanager
def watching(connection: Connection, state: Path, *channels: Channel, **wanted: Any) -> Iterator[list[str]]:
    """Watch in a thread for as long as the block runs, once what was before is done with; give what it says.

    A job that is over before its pipeline is followed is found when the list of jobs is looked at next, so soon.
    """
    said: list[str] = []
    memory = Memory(state)
    watcher = Watcher(connection, memory, channels, Wanted(**{"every": 5.0, **wanted}), said.append)
    watcher.look()
    thread = threading.Thread(target=watcher.run)
    thread.start()
    try:
        yield said
    finally:
        watcher.stop()
        thread.join(timeout=60)
        memory.close()
    assert not thread.is_alive()


def test_one_mail_for_each_broken_job_set(connection: Connection, smtp: MailServer, tmp_path: Path) -> None:
    chain(connection)
    with watching(connection, tmp_path / "state", mail_to(smtp)):
        first = break_it(connection)
        mail = smtp.next()
        second = break_it(connection, "/c")
        assert smtp.next()["Message-ID"] == f"<{second}.pachlet@example.org>"
    assert smtp.mails.empty()
    assert mail["Subject"].startswith("[pachlet] default/check failed: ")
    assert mail["X-Recipients"] == "ann@example.org,bob@example.org"
    lines = mail.get_content().splitlines()
    assert lines[0] == f"Job set {first} is broken."
    assert f"  where       grpc://{connection.address}" in lines
    assert f"  set off by  default/raw@{first}" in lines
    assert "default/check: failure, 1 of 2 datums failed" in lines
    assert "  | no good: /pfs/raw/b" in lines
    assert f"  look        pachctl logs --project default -j check@{first}" in lines
    assert "could not run because of it: default/copy, default/count" in lines
    [debug] = [line.partition("debug")[2].split() for line in lines if line.startswith("  debug")]
    status, *_ = command(connection, *debug[1:], "--run")
    assert status == 1  # it runs the failed datum here, and that fails here, too


def command(connection: Connection, *words: str) -> tuple[int, str]:
    out = io.StringIO()
    environ = {"PACHD_ADDRESS": str(connection.address), "PACH_CONFIG": "/nowhere/config.json"}
    return main.run(Session(environ, out=out, err=out, program="pachlet"), words), out.getvalue()


def test_nothing_is_told_twice_nor_forgotten_over_a_restart(
    connection: Connection, smtp: MailServer, tmp_path: Path
) -> None:
    chain(connection)
    break_it(connection)  # before the first look: it is not told
    words = ("--mail-to", "ann@example.org", "--mail-from", "p@example.org", "--smtp", smtp.at, "--once")
    words = (*words, "--state", str(tmp_path / "state"))
    assert typed(connection, *words)[0] == 0
    assert smtp.mails.empty()
    broken = {break_it(connection, name) for name in ("/c", "/d")}  # while nobody watches
    for _ in range(3):
        assert typed(connection, *words)[0] == 0
    told = {mail["Message-ID"][1:33] for mail in list(smtp.mails.queue)}
    assert (told, smtp.mails.qsize()) == (broken, 2)
    put_id(connection, "raw@master", dict.fromkeys(("/b", "/c", "/d"), "good"))
    last_job(connection, "count")
    for _ in range(2):
        assert typed(connection, *words)[0] == 0
    assert smtp.mails.qsize() == 2
    assert json.loads((tmp_path / "state").read_text())["told"] == {}  # it does not grow


def test_sets_of_before_are_told_if_asked_for(connection: Connection, tmp_path: Path) -> None:
    chain(connection)
    id = break_it(connection)
    state = ("--state", str(tmp_path / "none"), "--once", "--dry-run")
    status, out, _ = typed(connection, *state, "--since", "1h")
    assert (status, out.count("Subject: ")) == (0, 1)
    assert f"Job set {id} is broken." in out
    assert typed(connection, *state, "--since", "1h", "--only", "other/*")[1] == ""
    assert typed(connection, *state, "--since", "1h", "--only", "default/ch*")[1] == out
    assert not (tmp_path / "none").exists()


def test_what_is_not_delivered_is_tried_again_by_that_channel_alone(
    connection: Connection, smtp: MailServer, hook: Receiver, memory: Memory
) -> None:
    chain(connection)
    time, said = [0.0], list[str]()
    channels = [mail_to(smtp), Webhook(hook.url, token="t0ken")]
    watcher = Watcher(connection, memory, channels, Wanted(), said.append, now=lambda: time[0])
    assert watcher.look()
    id = break_it(connection)
    smtp.answers = ["451 later", "554 never"]
    hook.statuses = [500, 302, 404]
    pauses = [4.9, 0.1, 9.9, 0.1, 20.0]
    delivered = [watcher.look()]
    for pause in pauses:
        time[0] += pause
        delivered.append(watcher.look())
    assert delivered == [False, False, False, False, False, True]
    assert (smtp.mails.qsize(), hook.posts.qsize()) == (1, 1)
    assert [line.partition(": ")[2] for line in said if "not told yet" in line] == [
        f"mail by {smtp.at}: 451 later",
        "webhook at 127.0.0.1: it answered 500 Internal Server Error",
        f"mail by {smtp.at}: 554 never",
        "webhook at 127.0.0.1: it answered 302 Found",
        "webhook at 127.0.0.1: it answered 404 Not Found",
    ]
    headers, body = hook.next()
    assert (headers["Authorization"], headers["Idempotency-Key"]) == ("Bearer t0ken", id)
    assert body["text"].startswith("[pachlet] default/check failed")
    assert body["job_set"] == id
    [job] = body["jobs"]
    assert (job["job"], job["datums_failed"], job["datums"]) == (f"check@{id}", 1, 2)
    assert "no good: /pfs/raw/b" in job["log"]
    assert body["unrunnable"] == ["default/copy", "default/count"]


def test_a_failure_waits_for_its_set_but_not_for_ever(connection: Connection, memory: Memory) -> None:
    repos.create_repo(connection, "raw")
    put_id(connection, "raw@master", {"/a": "good"})
    create(connection, shell("check", CHECK, pfs_input("raw")))
    create(connection, shell("long", "test ! -e /pfs/raw/b || sleep 600", pfs_input("raw")))
    time, told = [0.0], Kept()
    watcher = Watcher(connection, memory, [told], Wanted(), lambda _: None, now=lambda: time[0])
    watcher.look()
    id = put_id(connection, "raw@master", {"/b": "bad"})
    assert jobs.state_of(jobs.inspect_job(connection, f"check@{id}", wait=True)) == "JOB_FAILURE"
    watcher.look()
    assert told.letters == []
    time[0] = 61
    watcher.look()
    [letter] = told.letters
    assert letter.content["not_over"] == ["default/long"]
    jobs.stop_job(connection, f"long@{id}")
    jobs.inspect_job(connection, f"long@{id}", wait=True)
    watcher.look()
    assert told.letters == [letter]


def test_a_stopped_job_is_not_broken(connection: Connection, memory: Memory) -> None:
    repos.create_repo(connection, "raw")
    create(connection, shell("long", "sleep 600", pfs_input("raw")))
    told = Kept()
    watcher = Watcher(connection, memory, [told], Wanted(), lambda _: None)
    watcher.look()
    id = put_id(connection, "raw@master", {"/a": "a"})
    jobs.stop_job(connection, f"long@{id}")
    assert jobs.state_of(jobs.inspect_job(connection, f"long@{id}", wait=True)) == "JOB_KILLED"
    assert watcher.look()
    assert told.letters == []


def beside(connection: Connection) -> None:
    """Make `long`, which runs until it is stopped; `copy` of it; and two that read that and repo `more`, too."""
    for repo in ("raw", "more"):
        repos.create_repo(connection, repo)
    put_id(connection, "more@master", {"/m": "m"})
    create(connection, LONG)
    create(connection, shell("copy", "true", pfs_input("long", "/")))
    for name in ("count", "size"):
        both = {"cross": [pfs_input("copy", "/"), pfs_input("more", "/")]}
        create(connection, shell(name, "true", both))


LONG = shell("long", "sleep 600", pfs_input("raw"))


def states(connection: Connection, id: str) -> dict[str, str]:
    """Return how the jobs of a set ended, once all did."""
    infos = jobs.inspect_jobset(connection, id, wait=True)
    return {each.job.pipeline.name: jobs.state_of(each).removeprefix("JOB_") for each in infos}


@pytest.mark.parametrize("is_updated", [False, True], ids=["stopped", "updated"])
def test_what_is_behind_a_stopped_job_is_not_broken(
    connection: Connection, memory: Memory, is_updated: bool
) -> None:
    beside(connection)
    told = Kept()
    watcher = Watcher(connection, memory, [told], Wanted(), lambda _: None)
    watcher.look()
    id = put_id(connection, "raw@master", {"/a": "a"})
    if is_updated:
        pipelines.create_pipeline(connection, LONG, update=True)
        newest = last_id(connection, "long")
        assert newest != id
        jobs.stop_job(connection, f"long@{newest}")
        assert set(states(connection, newest).values()) == {"KILLED", "UNRUNNABLE"}
    else:
        jobs.stop_job(connection, f"long@{id}")
    unrunnable = dict.fromkeys(("copy", "count", "size"), "UNRUNNABLE")
    assert states(connection, id) == {"long": "KILLED", **unrunnable}
    later = put_id(connection, "more@master", {"/n": "n"})  # they read what the stopped job left
    assert states(connection, later) == dict.fromkeys(("count", "size"), "UNRUNNABLE")
    assert watcher.look()
    assert (told.letters, watcher.going) == ([], 0)


def last_id(connection: Connection, pipeline: str) -> str:
    return str(next(iter(jobs.list_job(connection, pipeline))).job.id)


def test_what_failed_beside_a_stopped_job_is_broken_and_has_its_own_consequences(
    connection: Connection, memory: Memory
) -> None:
    beside(connection)
    create(connection, shell("check", CHECK, pfs_input("raw")))
    create(connection, shell("after", "true", pfs_input("check")))
    told = Kept()
    watcher = Watcher(connection, memory, [told], Wanted(), lambda _: None)
    watcher.look()
    id = put_id(connection, "raw@master", {"/a": "bad"})
    jobs.stop_job(connection, f"long@{id}")
    assert states(connection, id)["copy"] == "UNRUNNABLE"
    watcher.look()
    [letter] = told.letters
    assert [each["pipeline"] for each in letter.content["jobs"]] == ["check"]
    assert letter.content["unrunnable"] == ["default/after"]


def test_a_job_that_timed_out_is_broken(connection: Connection, memory: Memory) -> None:
    repos.create_repo(connection, "raw")
    create(connection, {**LONG, "job_timeout": "0.1s"})
    create(connection, shell("copy", "true", pfs_input("long", "/")))
    told = Kept()
    watcher = Watcher(connection, memory, [told], Wanted(), lambda _: None)
    watcher.look()
    id = put_id(connection, "raw@master", {"/a": "a"})
    assert states(connection, id) == {"long": "KILLED", "copy": "UNRUNNABLE"}
    watcher.look()
    [letter] = told.letters
    assert letter.subject == "[pachlet] default/long failed: job timed out"
    assert letter.content["unrunnable"] == ["default/copy"]


def test_what_could_not_run_for_one_reason_says_it_once(connection: Connection, memory: Memory) -> None:
    for repo in ("raw", "more"):
        repos.create_repo(connection, repo)
        put_id(connection, f"{repo}@master", {"/a": "good"})
    create(connection, shell("check", CHECK, pfs_input("raw")))
    for name in ("count", "size"):
        both = {"cross": [pfs_input("check", "/"), pfs_input("more", "/")]}
        create(connection, shell(name, "true", both))
    broken = break_it(connection)
    told = Kept()
    watcher = Watcher(connection, memory, [told], Wanted(), lambda _: None)
    watcher.look()
    id = put_id(connection, "more@master", {"/b": "b"})  # what it needs failed in a set before this one
    assert states(connection, id) == {"count": "UNRUNNABLE", "size": "UNRUNNABLE"}
    watcher.look()
    [letter] = told.letters
    cause = jobs.inspect_job(connection, f"check@{broken}").reason
    why = f"the following upstream pipelines failed: default/check@{broken} ({cause})"
    subject = f"[pachlet] default/count and 1 more could not run: {why}"
    assert letter.subject == f"{subject[:137]}..."
    assert f"\ndefault/count, default/size: unrunnable\n  reason      {why}\n" in letter.text
    assert letter.text.count(why) == 1
    assert letter.content["jobs"][1]["reason"] == f"unrunnable because {why}"


def test_dry_run_prints_only_what_is_not_told(
    connection: Connection, smtp: MailServer, tmp_path: Path
) -> None:
    chain(connection)
    state = ("--state", str(tmp_path / "state"), "--once")
    real = (*state, "--mail-to", "a@example.org", "--mail-from", "p@example.org", "--smtp", smtp.at)
    assert typed(connection, *real) == (0, "", "")  # cron would mail whatever is said
    verbose = (*real, "-v")
    assert typed(connection, *verbose)[2].splitlines()[0] == "nothing to tell"
    id = break_it(connection)
    assert f"Job set {id} is broken." in typed(connection, *state, "--dry-run")[1]
    status, _, err = typed(connection, *real)
    assert (status, err.count("told by mail"), "nothing to tell" in err) == (0, 1, False)
    for words in ((*state, "--dry-run"), (*real, "--dry-run")):
        assert typed(connection, *words) == (0, "", "")
    assert f"Job set {id} is broken." in typed(connection, *state, "--dry-run", "--webhook")[1]
    err = typed(connection, *state, "--dry-run", "--only", "check", "--only", "default/ch*")[2]
    assert err == "--only 'check' matches no pipeline of this server; it is held against PROJECT/PIPELINE\n"


class Kept:
    """A channel that keeps what it is given."""

    name = "kept"

    def __init__(self) -> None:
        self.letters: list[Letter] = []

    def send(self, letter: Letter) -> None:
        self.letters.append(letter)


def test_it_goes_on_when_the_server_is_back(smtp: MailServer, tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data") as first:
        port = int(first.address.rpartition(":")[2])
        with Connection(first.address) as connection:
            chain(connection)
            with watching(connection, tmp_path / "state", mail_to(smtp), every=0.2) as said:
                first.kill()
                with (
                    ServerProcess(tmp_path / "data", port=port) as second,
                    Connection(second.address) as back,
                ):
                    grpc.channel_ready_future(back._channel()).result(timeout=60)
                    break_it(back)
                    assert smtp.next()["Subject"].startswith("[pachlet] default/check failed")
                    assert sum("it is tried again until it answers" in line for line in said) <= 1


def test_channels_are_tried_out(connection: Connection, hook: Receiver, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("pass word\n")
    with mail_server(login=("ann", "pass word")) as smtp:
        words = ("--test", "--mail-to", "a@example.org", "--smtp", smtp.at, "--webhook")
        login = {"PACHLET_SMTP_USER": "ann", "PACHLET_SMTP_PASSWORD_FILE": str(secret)}
        status, out, err = typed(connection, *words, PACHLET_WEBHOOK_URL=hook.url, **login)
        assert (status, err) == (0, "")
        assert out == "mail: the trial was accepted\nwebhook: the trial was accepted\n"
        assert smtp.logins == [(b"ann", b"pass word")]
        assert "trial" in smtp.next()["Subject"]
        assert hook.next()[1]["schema"] == "pachlet.trial/1"
        secret.write_text("wrong")
        hook.statuses = [500]
        status, out, err = typed(connection, *words, PACHLET_WEBHOOK_URL=hook.url, **login)
        assert (status, out) == (1, "")
        assert "535" in err
        assert "it answered 500" in err
        assert "secret" not in err  # nor is the webhook's address, which is one


def test_password_is_not_sent_in_the_clear() -> None:
    with mail_server(login=("ann", "p"), host="127.0.0.2") as smtp:
        mail = Mail(smtp.host, smtp.port, "a@example.org", ["b@example.org"], "ann", "p")
        with pytest.raises(NotDelivered, match="offers no encryption, so the password is not sent"):
            mail.send(Letter("x", "s", "t", {}))
        assert smtp.logins == []


def test_two_watchers_do_not_share_a_memory(connection: Connection, memory: Memory, tmp_path: Path) -> None:
    words = ("--mail-to", "a@example.org", "--once", "--state", str(tmp_path / "state"))
    status, _, err = typed(connection, *words)
    assert (status, "another `pachlet notify` uses" in err) == (1, True)
    memory.close()
    (tmp_path / "state").write_text('{"schema": "other"}')
    status, _, err = typed(connection, *words)
    assert status == 1
    assert "is no memory of `pachlet notify`; remove it" in err


@pytest.mark.parametrize(
    "words, said",
    [
        ((), "whom to tell is not said; give --mail-to ADDRESS, --webhook, or --dry-run"),
        (("--mail-to", "ann"), "'ann' is no mail address"),
        (("--mail-to", "a@b", "--smtp", "mail"), "--smtp 'mail' is no HOST:PORT"),
        (("--webhook",), "--webhook needs the variable PACHLET_WEBHOOK_URL"),
        (("--mail-to", "a@b", "--every", "often"), "error parsing duration 'often'"),
    ],
)
def test_words_that_are_off(connection: Connection, words: tuple[str, ...], said: str) -> None:
    status, _, err = typed(connection, *words, "--once")
    assert (status, said in err) == (2, True), err
