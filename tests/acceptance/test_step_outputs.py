"""What a step may leave in /pfs/out: links, hard links, devices, pipes, sockets, sparse and closed files, odd names.

Links are handled as by Pachyderm: the content that they lead to is uploaded, and one to a lazy or empty_files input
stands for the file in its repo.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from pachlet import testing
from pachlet.client import repos
from pachlet.client.connection import Connection
from pachlet.testing import RunningServer
from tests.acceptance.words import PPS, create, ended, last_job, pfs_input, put, shell, tree

DATA = {"/d/a": "alpha\n", "/d/deep/b": "beta\n"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One server for all of them: each test makes a new version of one pipeline."""
    with testing.server(tmp_path_factory.mktemp("outputs") / "data") as running:
        with Connection(running.address) as connection:
            repos.create_repo(connection, "in")
            put(connection, "in@master", DATA)
        yield running


def run(connection: Connection, script: str, **input: Any) -> dict[str, str]:
    assert attempt(connection, script, **input) == "SUCCESS", reasons(connection)
    return tree(connection, "p@master")


def attempt(connection: Connection, script: str, **input: Any) -> str:
    spec = shell("p", f"cd /pfs/out; {script}", pfs_input("in", "/", **input))
    return ended(create(connection, spec, update=True, reprocess=True))[0]


def refused(connection: Connection, script: str) -> str:
    assert attempt(connection, script) == "FAILURE"
    return reasons(connection)


def reasons(connection: Connection) -> str:
    lines = [each.message for each in connection.call(PPS, "GetLogs", {"job": last_job(connection, "p").job})]
    return "\n".join(line for line in lines if "failed:" in line)


# Links


@pytest.mark.parametrize("how", [{}, {"lazy": True}, {"empty_files": True}])
@pytest.mark.parametrize("target", ["/pfs/in/d/a", "../in/d/a", "../in/d/deep/../a", "/pfs/../pfs/./in//d/a"])
def test_a_link_to_an_input_is_the_file_in_its_repo(
    connection: Connection, how: dict[str, bool], target: str
) -> None:
    assert run(connection, f"ln -s {target} x", **how) == {"/x": "alpha\n"}


@pytest.mark.parametrize("how", [{}, {"lazy": True}, {"empty_files": True}])
def test_a_link_to_a_folder_of_inputs_is_all_that_is_in_it(
    connection: Connection, how: dict[str, bool]
) -> None:
    assert run(connection, "mkdir y; ln -s /pfs/in/d y/x", **how) == {
        "/y/x/a": "alpha\n",
        "/y/x/deep/b": "beta\n",
    }


def test_a_link_to_an_input_that_a_link_leads_to_is_followed_too(connection: Connection) -> None:
    assert run(
        connection, "ln -s /pfs/in/d one; ln -s one/deep two; ln -s two/b three; rm one; ln -s /pfs/in/d one"
    ) == {
        "/one/a": "alpha\n",
        "/one/deep/b": "beta\n",
        "/two/b": "beta\n",
        "/three": "beta\n",
    }


def test_a_link_to_a_file_of_the_steps_own_is_its_content(connection: Connection) -> None:
    script = "mkdir /tmp/t; echo own > /tmp/t/f; ln -s /tmp/t x; ln -s /var/tmp/t/f y; ln -s t/f /tmp/z; ln -s /tmp/z z"
    assert run(connection, script) == {"/x/f": "own\n", "/y": "own\n", "/z": "own\n"}


def test_a_link_to_what_the_step_is_shown_of_the_machine_is_its_content(connection: Connection) -> None:
    found = run(connection, "ln -s /etc/os-release x; cat /etc/os-release > y")
    assert found["/x"] == found["/y"] != ""


def test_a_link_never_leads_to_what_the_step_could_not_read(
    connection: Connection, server: RunningServer
) -> None:
    for target in (
        str(server.data_dir / "pachlet.db"),
        "/etc/shadow",
        "/proc/1/environ",
        "/root",
        "/dev/sda",
    ):
        said = refused(connection, f"ln -s {target} x")
        assert "/pfs/out/x is a link that leads nowhere" in said, target


def test_a_link_that_leads_up_out_of_pfs_stays_in_what_the_step_sees(
    connection: Connection, server: RunningServer
) -> None:
    up = "../" * 30
    assert "leads nowhere" in refused(connection, f"ln -s {up}{str(server.data_dir)[1:]}/pachlet.db x")
    assert "leads nowhere" in refused(connection, f"ln -s {up}etc/shadow x")


@pytest.mark.parametrize(
    "script, said",
    [
        ("ln -s x x", "/pfs/out/x is a link that leads nowhere: it leads back to itself"),
        ("ln -s y x; ln -s x y", "is a link that leads nowhere: it leads back to itself"),
        ("ln -s gone x", "/pfs/out/x is a link that leads nowhere: No such file or directory"),
        ("ln -s . x", "/pfs/out/x is a link to a folder that holds it"),
        ("ln -s /pfs x", "/pfs/out/x is a link to a folder that holds it"),
        ("mkdir y; ln -s .. y/x", "/pfs/out/y/x is a link to a folder that holds it"),
        ("mkdir y z; ln -s ../z y/x; ln -s ../y z/x", "is a link to a folder that holds it"),
        ("ln -s /dev/null x", "/pfs/out/x is neither a file nor a directory but a device"),
        ("mkfifo /tmp/f; ln -s /tmp/f x", "/pfs/out/x is neither a file nor a directory but a named pipe"),
    ],
)
def test_a_link_that_leads_to_no_file_fails_the_datum_with_its_name(
    connection: Connection, script: str, said: str
) -> None:
    assert said in refused(connection, script)


def test_links_that_multiply_a_file_without_end_fail_the_datum(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pachlet.worker.outputs._MOST_AGAIN", 100)
    level = "mkdir $n; for k in 1 2; do ln -s ../$((n - 1)) $n/$k; done"
    fold = f"mkdir 0; echo 1 > 0/f; for n in $(seq {{most}}); do {level}; done"
    assert "more than 100 files are found again" in refused(connection, fold.format(most=40))
    assert len(run(connection, fold.format(most=4))) == 1 + 2 + 4 + 8 + 16


# Other things


def test_hard_links_are_files_of_their_own(connection: Connection) -> None:
    assert run(connection, "echo 1 > x; ln x y; ln -s x z") == {"/x": "1\n", "/y": "1\n", "/z": "1\n"}


@pytest.mark.parametrize(
    "script, kind",
    [
        ("mkfifo x", "a named pipe"),
        ("python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"x\")'", "a socket"),
    ],
)
def test_what_is_no_file_fails_the_datum_and_holds_up_nothing(
    connection: Connection, script: str, kind: str
) -> None:
    assert f"/pfs/out/x is neither a file nor a directory but {kind}" in refused(connection, script)


@pytest.mark.parametrize("kind", ["c 1 3", "b 8 0"])
def test_a_device_can_not_even_be_made(connection: Connection, kind: str) -> None:
    assert run(connection, f"mknod x {kind} 2>/dev/null || echo refused > y") == {"/y": "refused\n"}


def test_a_sparse_file_is_whole_and_takes_no_space(connection: Connection, server: RunningServer) -> None:
    def used() -> int:
        return sum(path.stat().st_size for path in server.data_dir.rglob("*") if path.is_file())

    before = used()
    found = run(connection, "truncate -s 64M x; echo end >> x")
    assert len(found["/x"]) == (64 << 20) + 4
    assert found["/x"].endswith("\0end\n")
    assert used() - before < 8 << 20


def test_closed_files_and_folders_are_read_all_the_same(connection: Connection) -> None:
    assert run(connection, "mkdir d; echo 1 > d/x; chmod 0 d/x d .") == {"/d/x": "1\n"}


def test_empty_files_and_names_with_blanks_are_kept_and_empty_folders_are_none(
    connection: Connection,
) -> None:
    assert run(connection, "touch 'a b' ' ' -- -x; mkdir empty; echo 1 > '#%&~$'") == {
        "/a b": "",
        "/ ": "",
        "/-x": "",
        "/#%&~$": "1\n",
    }


@pytest.mark.parametrize(
    "name", ["$(printf 'a\\nb')", "é", "$(printf '\\377')", "'a*b'", "'a[b'", "$(printf '\\t')"]
)
def test_a_name_that_pfs_can_not_have_fails_the_datum(connection: Connection, name: str) -> None:
    said = refused(connection, f'touch "{name}"' if name.startswith("$") else f"touch {name}")
    assert (
        "cannot upload file produced by the user code because its name cannot be represented in PFS" in said
    )


DEEP = 'python3 -c \'import os\nfor each in range(3000): os.mkdir("d"); os.chdir("d")\nopen("x", "w")\''


def test_folders_deeper_than_a_path_is_long_fail_the_datum_and_are_removed(connection: Connection) -> None:
    assert re.search(r"in /pfs/out can't be collected: File name too long", refused(connection, DEEP))
    assert run(connection, "cp $in/d/a .") == {"/a": "alpha\n"}  # the next one finds a clean folder
