"""Inputs of every kind: how many datums a job has, and what each of them sees under /pfs."""

from __future__ import annotations

import pytest

from pachlet.client import repos
from pachlet.client.connection import Connection
from tests.acceptance.words import PPS, create, ended, pfs_input, put, shell, tree

# Writes a file, named by the datum, that lists what the datum sees with its contents.
LOOK = 'cd /pfs; find . -type f ! -path "./out/*" ! -name .env | sort | xargs grep -H "" >/pfs/out/$PACH_DATUM_ID'


@pytest.fixture
def two(connection: Connection) -> Connection:
    """Repos a and b with files that share some keys."""
    files = {
        "a": {"/1_x.csv": "a1x", "/1_y.csv": "a1y", "/2_x.csv": "a2", "/d/3_x.csv": "a3"},
        "b": {"/1.txt": "b1", "/2.txt": "b2", "/9.txt": "b9"},
    }
    for name, contents in files.items():
        repos.create_repo(connection, name)
        put(connection, f"{name}@master", {path: f"{text}\n" for path, text in contents.items()})
    return connection


def views(connection: Connection, input: dict[str, object]) -> list[list[str]]:
    """Run a pipeline over an input; return what its datums saw, sorted."""
    info = create(connection, shell("look", LOOK, input))
    seen = tree(connection, "look@master")
    assert ended(info) == ("SUCCESS", len(seen), 0, 0, len(seen))
    listed = connection.call(PPS, "ListDatum", {"job": info.job})
    assert sorted(seen) == [f"/{each.datum.id}" for each in listed]
    return sorted(sorted(text.replace("./", "").split()) for text in seen.values())


@pytest.mark.parametrize(
    "glob, expected",
    [
        ("/", [["a/1_x.csv:a1x", "a/1_y.csv:a1y", "a/2_x.csv:a2", "a/d/3_x.csv:a3"]]),
        ("/*", [["a/1_x.csv:a1x"], ["a/1_y.csv:a1y"], ["a/2_x.csv:a2"], ["a/d/3_x.csv:a3"]]),
        ("/d", [["a/d/3_x.csv:a3"]]),
        ("/**_x.csv", [["a/1_x.csv:a1x"], ["a/2_x.csv:a2"], ["a/d/3_x.csv:a3"]]),
        ("/none*", []),
    ],
)
def test_glob_says_how_files_are_cut(two: Connection, glob: str, expected: list[list[str]]) -> None:
    assert views(two, pfs_input("a", glob)) == expected


def test_input_may_have_a_name_and_a_branch(two: Connection) -> None:
    put(two, "b@other", {"/only": "here\n"})
    assert views(two, pfs_input("b", name="else", branch="other")) == [["else/only:here"]]


def test_cross_is_every_pair(two: Connection) -> None:
    seen = views(two, {"cross": [pfs_input("a", "/?_x.csv"), pfs_input("b")]})
    assert seen == [
        [f"a/{first}", f"b/{second}"]
        for first in ("1_x.csv:a1x", "2_x.csv:a2")
        for second in ("1.txt:b1", "2.txt:b2", "9.txt:b9")
    ]


def test_union_is_side_by_side(two: Connection) -> None:
    assert views(two, {"union": [pfs_input("a", "/*.csv"), pfs_input("b", "/9*")]}) == [
        ["a/1_x.csv:a1x"],
        ["a/1_y.csv:a1y"],
        ["a/2_x.csv:a2"],
        ["b/9.txt:b9"],
    ]


def join(**more: bool) -> dict[str, object]:
    return {
        "join": [
            pfs_input("a", "/(*)_*.csv", join_on="$1", **more),
            pfs_input("b", "/(*).txt", join_on="$1", **more),
        ]
    }


def test_join_pairs_equal_keys(two: Connection) -> None:
    assert views(two, join()) == [
        ["a/1_x.csv:a1x", "b/1.txt:b1"],
        ["a/1_y.csv:a1y", "b/1.txt:b1"],
        ["a/2_x.csv:a2", "b/2.txt:b2"],
    ]


def test_outer_join_keeps_those_without_a_partner(two: Connection) -> None:
    assert views(two, join(outer_join=True))[-1] == ["b/9.txt:b9"]


def test_group_gathers_equal_keys(two: Connection) -> None:
    group = {
        "group": [
            pfs_input("a", "/(*)_*.csv", group_by="$1"),
            pfs_input("b", "/(*).txt", group_by="$1"),
        ]
    }
    assert views(two, group) == [
        ["a/1_x.csv:a1x", "a/1_y.csv:a1y", "b/1.txt:b1"],
        ["a/2_x.csv:a2", "b/2.txt:b2"],
        ["b/9.txt:b9"],
    ]


def test_files_that_overlap_in_a_group_are_there_once(two: Connection) -> None:
    overlapping = {"group": [pfs_input("a", "/**", group_by="all")]}
    everything = ["a/1_x.csv:a1x", "a/1_y.csv:a1y", "a/2_x.csv:a2", "a/d/3_x.csv:a3"]
    assert views(two, overlapping) == [everything]


def test_a_step_takes_one_of_two_roads_by_the_folder_that_it_writes_into(two: Connection) -> None:
    """A branch: who reads the other folder has no datum, and nothing of it runs."""
    route = "cd /pfs/a; mkdir /pfs/out/buy; cp *.csv /pfs/out/buy; ls *.wild && mkdir /pfs/out/hold; true"
    create(two, shell("router", route, pfs_input("a", "/")))
    done = {
        name: ended(
            create(two, shell(name, "cp /pfs/router/*/* /pfs/out", pfs_input("router", f"/{name}/*")))
        )
        for name in ("buy", "hold")
    }
    assert done == {"buy": ("SUCCESS", 3, 0, 0, 3), "hold": ("SUCCESS", 0, 0, 0, 0)}


def test_inputs_nest(two: Connection) -> None:
    nested = {"cross": [pfs_input("a", "/2*"), {"union": [pfs_input("b", "/1*"), pfs_input("b", "/2*")]}]}
    assert views(two, nested) == [["a/2_x.csv:a2", "b/1.txt:b1"], ["a/2_x.csv:a2", "b/2.txt:b2"]]


def test_one_repo_may_be_read_twice_under_two_names(two: Connection) -> None:
    twice = {"cross": [pfs_input("b", "/1*", name="one"), pfs_input("b", "/2*", name="two")]}
    assert views(two, twice) == [["one/1.txt:b1", "two/2.txt:b2"]]


def test_empty_files_have_names_only(two: Connection) -> None:
    info = create(two, shell("sizes", "cat /pfs/b/* >/pfs/out/all; ls /pfs/b >>/pfs/out/all",
                             pfs_input("b", "/", empty_files=True)))  # fmt: skip
    assert ended(info)[0] == "SUCCESS"
    assert tree(two, "sizes@master") == {"/all": "1.txt\n2.txt\n9.txt\n"}


def test_reference_input_makes_nothing_run_again(two: Connection) -> None:
    crossed = {"cross": [pfs_input("a", "/2*"), pfs_input("b", "/", reference=True)]}
    create(two, shell("ref", "cat /pfs/b/* >/pfs/out/x", crossed))
    put(two, "b@master", {"/1.txt": "new\n"})
    info = create(two, shell("ref", "cat /pfs/b/* >/pfs/out/x", crossed), update=True)
    assert ended(info) == ("SUCCESS", 0, 1, 0, 1)


def test_keys_are_told_to_the_step(two: Connection) -> None:
    create(two, shell("keys", "echo $PACH_DATUM_b_JOIN_ON >/pfs/out/$PACH_DATUM_ID", join()))
    assert sorted(text.strip() for text in tree(two, "keys@master").values()) == ["1", "1", "2"]


def test_inputs_are_read_only_and_datums_can_not_see_each_other(two: Connection) -> None:
    script = """
echo x >/pfs/b/1.txt 2>/dev/null && echo wrote >/pfs/out/$PACH_DATUM_ID
ls /pfs | grep -v '^out$' >>/pfs/out/$PACH_DATUM_ID; ls /pfs/b >>/pfs/out/$PACH_DATUM_ID
"""
    create(two, shell("safe", script, pfs_input("b")))
    assert sorted(tree(two, "safe@master").values()) == ["b\n1.txt\n", "b\n2.txt\n", "b\n9.txt\n"]
