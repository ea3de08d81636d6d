"""The rows of docs/security.md: a step that tries gets nothing, and what it tries works where nobody stops it.

An attack is run by a step, in each arena (root's server and an ordinary user's, processes and containers), and again
without a sandbox, by the server's user or by root, so that one that never works is noticed.

Read next: attacks.py (the attacks), excess.py (too much of something), conftest.py (where they are run).
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.security.attacks import ATTACKS, CHANGES
from tests.security.excess import OUTLIVING

BY_ROOT = {
    "read the passwords of the machine",
    "read the store by its handle",
    "open a raw socket",
    "mount a file system",
    "make its inputs writable by mounting",
    "take a mount away",
    "make a device",
    "open a disk",
    "make a mount namespace",
    "change the root",
    "enter the namespace of a process",
    "load a kernel module",
    "restart the machine",
    "swap to a file",
    "set the clock",
    "change a setting of the kernel",
    "press a key of the kernel's",
    "change a device by way of /sys",
    "read the kernel's log",
    "read the kernel's log from a device",
    "read the kernel's log from /proc",
    "read the kernel's memory",
    "learn of the kernel's insides",
    "load a program into the kernel",
    "raise its priority",
    "be spared when memory runs out",
    "become another user",
    "type on the server's terminal",
}
"""What works for root only; the rest is tried by the server's user."""

NOT_EVERYWHERE = {
    "open a disk",
    "reach another program's port over IPv6",
    "find a way to other machines",
    "reach a container engine",
    "open a socket to the hypervisor",
    "load a kernel module",
    "press a key of the kernel's",
    "change a device by way of /sys",
    "read the kernel's memory",
    "watch the processor's events",
    "handle page faults",
    "make a ring of requests",
    "be spared when memory runs out",
    "get privileges in a user namespace",
    "type on the server's terminal",
}
"""What a machine may not have at all, or not for us: where it does not work outside either, that is said."""

INSIDE = {f"input: {each}": f"own file: {each}" for each in CHANGES} | {
    f"{each} 1": f"{each} child"
    for each in (
        "trace",
        "read the memory of",
        "read the environment of",
        "see the open files of",
        "enter the root of",
    )
}
"""What works in the sandbox on something of the step's own."""

IN_IMAGE = {"read the passwords of the machine", "write elsewhere"}
"""What in a container is the image's own: it may be read, and written to, by whoever runs in it."""

OUTSIDE = {"write to the memory of 1": "write to the memory of child"}
"""What works without a sandbox on something of one's own."""

FOR_CONTROL = {*INSIDE.values(), *OUTSIDE.values()}


@pytest.mark.parametrize("attack", [each for each in ATTACKS if each not in FOR_CONTROL])
def test_an_attack_gets_nothing_and_would_elsewhere(fight: dict[str, Any], attack: str) -> None:
    if attack in IN_IMAGE and fight["runner"] == "container":
        pytest.skip("in a container that is the image's own")
    assert fight["inside"][attack]["got"] is None
    if attack in INSIDE:
        assert fight["inside"][INSIDE[attack]]["got"], fight["inside"][INSIDE[attack]]["why"]
        return
    who = "by root" if attack in BY_ROOT else "outside"
    if who not in fight:
        pytest.skip("not root: that it works for root can't be seen")
    found = fight[who][OUTSIDE.get(attack, attack)]
    if not found["got"] and attack in NOT_EVERYWHERE:
        pytest.skip(f"it does not work on this machine at all: {found['why']}")
    assert found["got"], found["why"]


def test_a_step_whose_pipeline_asks_for_the_network_has_it(fight: dict[str, Any]) -> None:
    if fight["runner"] == "container":
        pytest.skip(
            "a container's network is the engine's bridge, from which this machine's loopback is not reached"
        )
    assert fight["allowed"]["reach another program's port"]["got"]


def test_another_user_of_the_machine_reads_nothing_of_the_servers(fight: dict[str, Any]) -> None:
    if not fight.get("by another"):
        pytest.skip("only root can try that as another user, and the server has to be root's own")
    for attack in ("read the store", "read the database", "read another pipeline's input"):
        assert fight["by another"][attack]["got"] is None
        assert "Permission denied" in fight["by another"][attack]["why"]
        assert fight["outside"][attack]["got"]


def test_no_process_outlives_its_datum(fight: dict[str, Any]) -> None:
    told = fight["excess"]["outlive"]
    assert [said for _, is_user, _, said in told["log"] if is_user] == ["living 3"]
    assert fight["outliving"] == []


def test_too_much_memory_ends_a_datum(fight: dict[str, Any]) -> None:
    assert fight["excess"]["memory"]["reason"].startswith(
        "killed: used more than its limit of 256 MiB of memory"
    )


def test_files_in_memory_end_a_datum_or_find_no_space(fight: dict[str, Any]) -> None:
    told = fight["excess"]["memory in files"]
    assert told["reason"].startswith("killed: used more than its limit of 256 MiB of memory") or any(
        "No space left on device" in said for *_, said in told["log"]
    )


@pytest.mark.parametrize("where", ["disk", "disk in tmp", "disk in empty files"])
def test_too_much_disk_ends_a_datum(fight: dict[str, Any], where: str) -> None:
    assert fight["excess"][where]["reason"].startswith("killed: used more than its limit of 8 MiB of disk")


def test_there_is_no_other_place_for_files_or_what_lies_there_counts(fight: dict[str, Any]) -> None:
    told = fight["excess"]["disk elsewhere"]
    if fight["runner"] == "container":
        assert told["reason"].startswith("killed: used more than its limit of 8 MiB of disk")
    else:
        assert [said for _, is_user, _, said in told["log"] if is_user] == ["there is nowhere else to write"]


def test_processes_and_threads_end_at_their_limit(fight: dict[str, Any]) -> None:
    told = fight["excess"]["threads"]
    said = [said for _, is_user, _, said in told["log"] if is_user]
    assert "more than its limit of 4096 processes" in told["reason"] or (
        3500 < int(said[0].removeprefix("stopped at ").removesuffix(" threads")) < 4096
    )


def test_less_than_the_limits_is_no_matter(fight: dict[str, Any]) -> None:
    assert fight["excess"]["modest"]["reason"] == ""
    assert fight["excess"]["modest"]["state"] == fight["excess"]["outlive"]["state"]


def test_what_a_step_prints_is_never_taken_for_what_the_engine_says(fight: dict[str, Any]) -> None:
    told = fight["excess"]["forge"]
    forged = [line for line in told["log"] if "forged" in line[3]]
    assert len(forged) == 4
    assert [line[:3] for line in forged] == [["greedy", True, False]] * 4
    assert told["reason"] == ""
    long = [len(said) for *_, said in told["log"] if " long " in said]
    assert sum(long) == 500_000
    assert max(long) < 200_000


def test_every_kind_of_control_is_about_an_attack() -> None:
    assert BY_ROOT | NOT_EVERYWHERE | set(INSIDE) | IN_IMAGE | FOR_CONTROL <= ATTACKS.keys()
    assert OUTLIVING
