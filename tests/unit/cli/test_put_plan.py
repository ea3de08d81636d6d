"""Files land where pachctl would put them, and nothing half-read is ever stored."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pachlet.client.put_file import FromDisk, FromUrl, Put, expand, from_bytes, plan
from pachlet.errors import Refused, Usage


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("a.csv", "dir/b.csv", "dir/sub/c.csv"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def paths(target: str, *sources: str, recursive: bool = False, full_path: bool = False) -> list[str]:
    puts = plan(target, sources, stdin=io.BytesIO(b""), recursive=recursive, full_path=full_path)
    return [put.path for put in expand(puts)]


def test_one_file(here: Path) -> None:
    assert paths("", "a.csv") == ["a.csv"]
    assert paths("/x.csv", "a.csv") == ["/x.csv"]
    assert paths("/to/", "a.csv") == ["/to/a.csv"]
    assert paths("", "dir/b.csv") == ["b.csv"]
    assert paths("", "dir/b.csv", full_path=True) == ["dir/b.csv"]
    assert paths("", str(here / "a.csv")) == ["a.csv"]


def test_several_files_take_the_target_as_their_folder(here: Path) -> None:
    assert paths("/to", "a.csv", "dir/b.csv") == ["/to/a.csv", "/to/b.csv"]
    assert paths("", "a.csv", "dir/b.csv") == ["a.csv", "b.csv"]


def test_folder_keeps_its_name_only_without_a_target(here: Path) -> None:
    assert paths("", "dir", recursive=True) == ["dir/b.csv", "dir/sub/c.csv"]
    assert paths("/", "dir/", recursive=True) == ["/b.csv", "/sub/c.csv"]
    assert paths("/to", "dir", recursive=True) == ["/to/b.csv", "/to/sub/c.csv"]
    assert paths("", ".", recursive=True) == ["a.csv", "dir/b.csv", "dir/sub/c.csv"]


def test_urls_are_fetched_by_the_server(here: Path) -> None:
    (put,) = plan("", ["https://h/p/x.csv?q=1"], stdin=io.BytesIO())
    assert put == FromUrl("x.csv", "https://h/p/x.csv?q=1")
    assert list(put.pieces()) == [{"url": {"URL": "https://h/p/x.csv?q=1", "recursive": False}}]


def test_links_are_followed_but_not_in_circles(here: Path) -> None:
    (here / "dir" / "loop").symlink_to(here / "dir")
    (here / "dir" / "link.csv").symlink_to(here / "a.csv")
    assert paths("/", "dir", recursive=True) == ["/b.csv", "/link.csv", "/sub/c.csv"]


def test_members_of_an_archive_are_files(here: Path) -> None:
    with tarfile.open("x.tar.gz", "w:gz") as archive:
        archive.add("dir")
    puts = plan("", ["x.tar.gz"], stdin=io.BytesIO(), untar=True)
    read = {put.path: list(put.pieces()) for put in puts}
    assert read["/dir/sub/c.csv"][0]["raw"]["value"] == b"dir/sub/c.csv"
    assert sorted(read) == ["/dir/b.csv", "/dir/sub/c.csv"]


def read_archive(target: str, name: str) -> dict[str, bytes]:
    puts = plan(target, [name], stdin=io.BytesIO(), untar=True)
    return {put.path: b"".join(piece["raw"]["value"] for piece in put.pieces()) for put in puts}


def test_members_of_an_archive_land_below_the_target(here: Path) -> None:
    with tarfile.open(here / "dir" / "x.tar", "w") as archive:
        archive.add("a.csv")
    assert read_archive("/un/packed", "dir/x.tar") == {"/un/packed/a.csv": b"a.csv"}
    assert read_archive("/", "dir/x.tar") == {"/a.csv": b"a.csv"}


def test_links_within_an_archive_are_files_and_others_are_told(here: Path) -> None:
    (here / "dir" / "hard").hardlink_to(here / "dir" / "b.csv")
    (here / "dir" / "soft").symlink_to("b.csv")
    with tarfile.open("x.tgz", "w:gz") as archive:
        archive.add("dir")
    assert read_archive("", "x.tgz") == {
        "/dir/b.csv": b"dir/b.csv",
        "/dir/hard": b"dir/b.csv",
        "/dir/soft": b"dir/b.csv",
        "/dir/sub/c.csv": b"dir/sub/c.csv",
    }
    (here / "dir" / "lost").symlink_to("elsewhere")
    with tarfile.open("x.tgz", "w:gz") as archive:
        archive.add("dir")
    with pytest.raises(Refused, match="dir/lost is a link to elsewhere, which it does not hold"):
        read_archive("", "x.tgz")


@pytest.mark.parametrize("kind", ["w", "w:gz"])
@pytest.mark.parametrize("share", [0.2, 0.6, 0.9])
def test_an_archive_that_is_cut_off_is_told(here: Path, kind: str, share: float) -> None:
    (here / "big").write_bytes(random.Random(1).randbytes(100_000))
    with tarfile.open("x.tar", kind) as archive:  # type: ignore[call-overload]
        archive.add("a.csv")
        archive.add("big")
    whole = (here / "x.tar").read_bytes()
    (here / "x.tar").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(Refused, match=r"x\.tar is not a whole tar archive"):
        read_archive("", "x.tar")


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_the_end_of_an_archive_is_looked_for_however_it_is_packed(
    here: Path, pack: Callable[[bytes], bytes]
) -> None:
    (here / "big").write_bytes(bytes(300_000))
    with tarfile.open("whole", "w", format=tarfile.GNU_FORMAT) as archive:
        archive.add("big")
        archive.add("a.csv")
        end = archive.offset
    whole = (here / "whole").read_bytes()
    (here / "x.tar").write_bytes(pack(whole[: end + 512]))  # one block is enough
    assert read_archive("", "x.tar") == {"/big": bytes(300_000), "/a.csv": b"a.csv"}
    for broken in (whole[:end], whole[: end + 511], whole[:end] + b"x" * 1024):
        (here / "x.tar").write_bytes(pack(broken))
        with pytest.raises(Refused, match=r"x\.tar is not a whole tar archive: its end is missing$"):
            read_archive("", "x.tar")


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("place", [0.3, 0.7, -6])
def test_damage_of_a_packed_archive_is_told(here: Path, pack: Callable[[bytes], bytes], place: float) -> None:
    (here / "big").write_bytes(random.Random(1).randbytes(100_000))  # is in the pack as it is
    with tarfile.open("whole", "w") as archive:
        archive.add("big")
    packed = bytearray(pack((here / "whole").read_bytes()))
    packed[int(place * len(packed)) if place > 0 else int(place)] ^= 1
    (here / "x.tar").write_bytes(packed)
    with pytest.raises(Refused, match=r"x\.tar is not a whole tar archive: \w+"):
        read_archive("", "x.tar")


def test_an_archive_of_nothing_is_whole(here: Path) -> None:
    (here / "x.tar").write_bytes(bytes(10240))
    assert read_archive("", "x.tar") == {}


def test_what_is_no_archive_is_told(here: Path) -> None:
    (here / "x.tar").write_text("no tar")
    with pytest.raises(Refused, match=r"x\.tar is not a whole tar archive: it has no tar header$"):
        list(plan("", ["x.tar"], stdin=io.BytesIO(), untar=True))


@pytest.mark.parametrize("target, sources, recursive", [("", ["-"], False), ("/x/", ["-"], False)])
def test_input_needs_a_name(target: str, sources: list[str], recursive: bool) -> None:
    with pytest.raises(Usage, match="must specify filename"):
        list(plan(target, sources, stdin=io.BytesIO(), recursive=recursive))


@pytest.mark.parametrize("recursive", [False, True])
def test_an_empty_name_is_not_the_current_folder(here: Path, recursive: bool) -> None:
    with pytest.raises(Usage, match="the name of a file to put is empty"):
        paths("/x", "a.csv", "", recursive=recursive)


def test_input_is_no_folder() -> None:
    with pytest.raises(Usage, match="cannot set -r"):
        list(plan("/x", ["-"], stdin=io.BytesIO(), recursive=True))


def test_folder_needs_a_flag(here: Path) -> None:
    with pytest.raises(Usage, match="dir is a folder"):
        list(plan("", ["a.csv", "dir"], stdin=io.BytesIO()))


def test_missing_file_is_told() -> None:
    missing = FromDisk("/x", Path("no/such"))
    for read in (missing.pieces, lambda: [missing.size]):
        with pytest.raises(Refused, match="cannot read no/such: No such file"):
            list(read())


@pytest.mark.parametrize("size", [0, 1, 4 * 1024 * 1024, 4 * 1024 * 1024 + 1])
def test_pieces_hold_every_byte_and_empty_files_have_one(size: int) -> None:
    put: Put = from_bytes("/x", b"x" * size)
    pieces = [piece["raw"]["value"] for piece in put.pieces()]
    assert sum(map(len, pieces)) == size
    assert pieces
    assert put.size == size
