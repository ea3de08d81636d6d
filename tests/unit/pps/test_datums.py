"""Which datums an input makes: exact counts, exact files, exact ids."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from pachlet.globs import Glob
from pachlet.paths import Repo
from pachlet.pps.datum import Datum, datum_hash
from pachlet.pps.datums import FileMatch, enumerate_datums
from pachlet.pps.inputs import CronInput, CrossInput, GroupInput, Input, JoinInput, PfsInput, UnionInput

# The files foo11 to foo44, and the tens and other columns that only one of two inputs has.
GRID = [f"/foo{i}{j}" for i in range(1, 5) for j in range(10)]
REPOS = {
    "grid": GRID,
    "empty": [],
    "images": ["/cat/1.png", "/cat/2.png", "/dog/1.png"],
    "labels": ["/cat.txt", "/fox.txt"],
    "model": ["/model.bin"],
}


def files(leaf: PfsInput, glob: Glob) -> Iterator[FileMatch]:
    paths = set(REPOS[leaf.repo.name])
    folders = {path[:at] or "/" for path in paths for at in range(len(path)) if path[at] == "/"}
    for path in sorted(paths | folders):
        if glob.match(path) is not None:
            yield FileMatch(path, path in folders, hashlib.blake2b(path.encode()).digest(), len(path))


def pfs(repo: str, glob: str, name: str = "", **more: Any) -> PfsInput:
    return PfsInput(name or repo, Repo("default", repo), "master", glob, **more)


def datums(tree: Input) -> list[Datum]:
    return list(enumerate_datums(tree, files))


def shown(tree: Input) -> list[str]:
    return sorted(" ".join(file.path for file in datum.files) for datum in datums(tree))


def test_pfs_makes_a_datum_of_each_match() -> None:
    assert shown(pfs("images", "/*")) == ["/cat/", "/dog/"]
    assert shown(pfs("images", "/*/*")) == ["/cat/1.png", "/cat/2.png", "/dog/1.png"]
    assert shown(pfs("images", "/")) == ["/"]
    assert len(datums(pfs("images", "/**"))) == 5
    assert shown(pfs("empty", "/")) == []


def test_cross_is_every_combination() -> None:
    tree = CrossInput((pfs("images", "/*"), pfs("labels", "/*")))
    assert shown(tree) == ["/cat/ /cat.txt", "/cat/ /fox.txt", "/dog/ /cat.txt", "/dog/ /fox.txt"]
    assert len(datums(CrossInput((pfs("grid", "/foo?1"), pfs("grid", "/foo?2", "b"))))) == 16


def test_cross_with_nothing_is_nothing() -> None:
    assert datums(CrossInput((pfs("images", "/*"), pfs("empty", "/*")))) == []
    assert datums(CrossInput((pfs("images", "/*"), CrossInput(())))) == []


def test_union_is_one_after_the_other_without_repeats() -> None:
    assert len(datums(UnionInput((pfs("images", "/*"), pfs("labels", "/*"))))) == 4
    # the same file under the same name is the same datum
    assert len(datums(UnionInput((pfs("grid", "/foo1?"), pfs("grid", "/foo?1"))))) == 10 + 4 - 1
    assert len(datums(UnionInput((pfs("grid", "/foo1?"), pfs("grid", "/foo?1", "other"))))) == 10 + 4


def test_join_pairs_files_of_one_key() -> None:
    left = pfs("grid", "/foo(?)(?)", "left", join_on="$1$2")
    right = pfs("grid", "/foo(?)(?)", "right", join_on="$2$1")
    pairs = [f"/foo{i}{j} /foo{j}{i}" for i in range(1, 5) for j in range(1, 5)]
    assert shown(JoinInput((left, right))) == sorted(pairs)


def test_join_is_a_cross_within_each_key() -> None:
    left = pfs("images", "/(*)/*", join_on="$1")
    right = pfs("images", "/(*)/*", "again", join_on="$1")
    assert len(datums(JoinInput((left, right)))) == 2 * 2 + 1 * 1


def test_outer_join_keeps_what_has_no_partner() -> None:
    left = pfs("grid", "/foo1(?)", "left", join_on="$1", outer_join=True)
    right = pfs("grid", "/foo(?)1", "right", join_on="$1", outer_join=True)
    paired = [f"/foo1{n} /foo{n}1" for n in range(1, 5)]
    alone = [f"/foo1{n}" for n in (0, 5, 6, 7, 8, 9)]
    assert shown(JoinInput((left, right))) == sorted(paired + alone)


def test_outer_join_of_one_side() -> None:
    images = pfs("images", "/(*)", join_on="$1")
    labels = pfs("labels", "/(*).txt", join_on="$1", outer_join=True)
    assert shown(JoinInput((images, labels))) == ["/cat/ /cat.txt", "/fox.txt"]
    assert shown(JoinInput((images, pfs("labels", "/(*).txt", join_on="$1")))) == ["/cat/ /cat.txt"]


def test_outer_join_leaves_out_the_inner_side_of_a_pair() -> None:
    """Two of three inputs have the key, one of them outer: its file alone makes the datum."""
    inner = pfs("images", "/(*)/*", join_on="$1")
    outer = pfs("labels", "/(*).txt", join_on="$1", outer_join=True)
    other = pfs("model", "/(*).bin", join_on="$1")
    assert shown(JoinInput((inner, outer, other))) == ["/cat.txt", "/fox.txt"]


def test_group_gathers_all_files_of_a_key() -> None:
    tree = GroupInput((pfs("grid", "/foo(?)(?)", group_by="$1"),))
    assert [len(datum.files) for datum in datums(tree)] == [10] * 4
    first = {file.path for file in next(d for d in datums(tree) if d.files[0].group_by == "1").files}
    assert first == {f"/foo1{n}" for n in range(10)}


def test_group_over_two_inputs() -> None:
    tens = pfs("grid", "/foo(?)(?)", "tens", group_by="$1")
    ones = pfs("grid", "/foo(?)(?)", "ones", group_by="$2")
    sizes = {datum.files[0].group_by: len(datum.files) for datum in datums(GroupInput((tens, ones)))}
    assert sizes == {str(n): (10 if 1 <= n <= 4 else 0) + 4 for n in range(10)}


def test_group_of_a_join_takes_its_datums_apart() -> None:
    left = pfs("grid", "/foo(?)(?)", "left", join_on="$1$2", group_by="$1")
    right = pfs("grid", "/foo(?)(?)", "right", join_on="$2$1", group_by="$2")
    found = datums(GroupInput((JoinInput((left, right)),)))
    assert [len(datum.files) for datum in found] == [8] * 4


def test_nested() -> None:
    grouped = GroupInput((pfs("grid", "/foo(?)(?)", group_by="$2"),))
    assert len(datums(UnionInput((pfs("grid", "/foo(?)(?)"), grouped)))) == 40 + 10
    images = pfs("images", "/(*)", join_on="$1")
    joined = JoinInput((images, pfs("labels", "/(*).txt", join_on="$1")))
    tree = CrossInput((joined, UnionInput((pfs("model", "/"), pfs("model", "/*", "file")))))
    assert shown(tree) == ["/cat/ /cat.txt /", "/cat/ /cat.txt /model.bin"]


def test_join_below_a_cross_joins_each_of_its_files() -> None:
    """A join looks at files, not at datums: each file of the cross meets its own key's partners."""
    crossed = CrossInput((pfs("images", "/(*)", join_on="$1"), pfs("model", "/(*).bin", join_on="$1")))
    assert shown(JoinInput((crossed, pfs("labels", "/(*).txt", join_on="$1")))) == ["/cat/ /cat.txt"]


def test_cron_makes_a_datum_of_each_tick() -> None:
    assert len(datums(CronInput("tick", Repo("default", "labels"), "@daily"))) == 2


def test_order_is_that_of_the_ids_whatever_the_order_of_files() -> None:
    ids = [datum.id for datum in datums(pfs("grid", "/*"))]
    assert ids == sorted(ids)

    def backwards(leaf: PfsInput, glob: Glob) -> list[FileMatch]:
        return list(files(leaf, glob))[::-1]

    tree = GroupInput((pfs("grid", "/foo(?)(?)", group_by="$1"),))
    assert list(enumerate_datums(tree, backwards)) == datums(tree)


def test_pinned_ids() -> None:
    """Ids and hashes are kept for ever in meta commits: if these change, every datum runs again."""
    (model,) = datums(pfs("model", "/*"))
    assert model.id == "f6ee98152b5aa5ac54e252a108500b42bebce6b2ea77c6497c3695c489c82a79"
    assert datum_hash(model, "salt") == "e099b7d98d1c32396af82eecafc3c943b0236bcc0ce001e55fd1904dff502beb"
    (cross,) = datums(CrossInput((pfs("images", "/cat"), pfs("model", "/"))))
    assert [file.path for file in cross.files] == ["/cat/", "/"]
    assert cross.id == "3af34df90d2abc3fb78401a9e73d1b53f09c5f3af159528c355f736d9bdee99c"


def test_id_follows_upstreams_layout() -> None:
    (model,) = datums(pfs("model", "/*", "m"))
    layout = b""
    for text in (b"m", b"model", b"master", b"/model.bin"):
        layout += text + len(text).to_bytes(8, "big")
    assert model.id == hashlib.blake2b(layout, digest_size=32).hexdigest()


def test_hash_covers_content_and_salt_but_no_reference() -> None:
    (model,) = datums(pfs("model", "/*"))
    (reference,) = datums(pfs("model", "/*", reference=True))
    assert model.id == reference.id
    assert len({datum_hash(model, "a"), datum_hash(model, "b"), datum_hash(reference, "a")}) == 3

    def changed(leaf: PfsInput, glob: Glob) -> list[FileMatch]:
        return [FileMatch("/model.bin", False, b"other", 1)]

    (model_2,) = enumerate_datums(pfs("model", "/*"), changed)
    (reference_2,) = enumerate_datums(pfs("model", "/*", reference=True), changed)
    assert model_2.id == model.id
    assert datum_hash(model_2, "a") != datum_hash(model, "a")
    assert datum_hash(reference_2, "a") == datum_hash(reference, "a")


def test_a_files_datum_size() -> None:
    (cross,) = datums(CrossInput((pfs("images", "/cat"), pfs("model", "/*"))))
    assert cross.size == len("/cat") + len("/model.bin")
    assert [file.is_dir for file in cross.files] == [True, False]
