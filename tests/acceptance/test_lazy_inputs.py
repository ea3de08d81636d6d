"""Lazy inputs are named pipes, fed when they are opened; empty_files are names only."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from pachlet import testing
from pachlet.client import repos
from pachlet.client.connection import Connection
from pachlet.testing import RunningServer
from pachlet.worker.head import InputFile
from pachlet.worker.pipes import LazyPipes
from tests.acceptance.words import PPS, create, ended, last_job, pfs_input, put, shell, tree


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One server for all of them: each test makes a new version of one pipeline."""
    with testing.server(tmp_path_factory.mktemp("lazy") / "data") as running:
        with Connection(running.address) as connection:
            repos.create_repo(connection, "in")
            put(connection, "in@master", {"/a": "alpha\n" * 100_000, "/b": "beta\n", "/empty": ""})
        yield running


def test_a_lazy_input_is_a_pipe_that_gives_the_file(connection: Connection) -> None:
    script = "test -p /pfs/in/a && cp /pfs/in/a /pfs/in/b /pfs/in/empty /pfs/out/"
    info = create(
        connection, shell("p", script, pfs_input("in", "/", lazy=True)), update=True, reprocess=True
    )
    assert ended(info)[0] == "SUCCESS"
    assert tree(connection, "p@master") == {"/a": "alpha\n" * 100_000, "/b": "beta\n", "/empty": ""}


def test_one_that_is_never_opened_is_never_read(connection: Connection) -> None:
    info = create(
        connection,
        shell("p", "cat /pfs/in/b > /pfs/out/b", pfs_input("in", "/", lazy=True)),
        update=True,
        reprocess=True,
    )
    assert ended(info) == ("SUCCESS", 1, 0, 0, 1)
    assert tree(connection, "p@master") == {"/b": "beta\n"}


def test_a_step_that_closes_early_gets_no_error(connection: Connection) -> None:
    script = "head -n 1 /pfs/in/a > /pfs/out/first; echo $? >> /pfs/out/first"
    create(connection, shell("p", script, pfs_input("in", "/", lazy=True)), update=True, reprocess=True)
    assert tree(connection, "p@master") == {"/first": "alpha\n0\n"}


def test_a_pipe_may_be_read_again_and_again(connection: Connection) -> None:
    script = "for i in 1 2 3 4 5; do head -c 1 /pfs/in/a; wc -c < /pfs/in/a; done | sort -u > /pfs/out/x"
    create(connection, shell("p", script, pfs_input("in", "/", lazy=True)), update=True, reprocess=True)
    assert tree(connection, "p@master") == {"/x": "a600000\n"}


def test_two_pipes_are_fed_side_by_side(connection: Connection) -> None:
    script = "paste -d, /pfs/in/a /pfs/in/b | head -n 2 > /pfs/out/x"
    create(connection, shell("p", script, pfs_input("in", "/", lazy=True)), update=True, reprocess=True)
    assert tree(connection, "p@master") == {"/x": "alpha,beta\nalpha,\n"}


def test_each_try_has_fresh_pipes(connection: Connection) -> None:
    script = "cat /pfs/in/b; test -e /pfs/in/b && exit 1"
    create(
        connection,
        shell("p", script, pfs_input("in", "/", lazy=True), datum_tries=3),
        update=True,
        reprocess=True,
    )
    lines = [each.message for each in connection.call(PPS, "GetLogs", {"job": last_job(connection, "p").job})]
    assert lines.count("beta") == 3


def test_err_cmd_reads_lazy_inputs_too(connection: Connection) -> None:
    recover = {"err_cmd": ["sh"], "err_stdin": ["grep -q beta /pfs/in/b"]}
    info = create(
        connection, shell("p", "exit 1", pfs_input("in", "/", lazy=True), transform=recover), update=True
    )
    assert (ended(info)[0], info.data_recovered) == ("SUCCESS", 1)


def test_empty_files_are_names_only(connection: Connection) -> None:
    script = "ls /pfs/in > /pfs/out/names; cat /pfs/in/* >> /pfs/out/names"
    create(
        connection, shell("p", script, pfs_input("in", "/", empty_files=True)), update=True, reprocess=True
    )
    assert tree(connection, "p@master") == {"/names": "a\nb\nempty\n"}


def test_a_file_that_can_not_be_read_to_its_end_fails_the_attempt(tmp_path) -> None:
    """A step must not take what it got for the whole."""

    def read():
        yield b"half"
        raise OSError("the disk is gone")

    (tmp_path / "pfs").mkdir()
    pipes = LazyPipes(tmp_path / "pfs")
    pipes.add(InputFile("f", b"k", 9, is_lazy=True), read)
    said, failed = [], threading.Event()

    def fail(reason: str) -> None:
        said.append(reason)
        failed.set()

    with pipes.fed(fail):
        assert (tmp_path / "pfs" / "f").read_bytes() == b"half"
        failed.wait(30)
    assert said == ["/pfs/f can't be read: the disk is gone"]
