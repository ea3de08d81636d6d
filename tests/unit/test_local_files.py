"""Which files a folder means, and how they are read: the same for the client that sends them and for the server."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from pachlet import local_files
from pachlet.errors import Refused
from pachlet.local_files import BLOCK, Blocks, check_name, files_below, read_small


def below(folder: Path) -> list[str]:
    return [name for name, path in files_below(str(folder)) if Path(path) == folder / name]


def test_files_come_in_order_and_folders_after_them(tmp_path: Path) -> None:
    for name in ("b/x", "a/c/y", "a/b", "z", "a.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert below(tmp_path) == ["a.txt", "z", "a/b", "a/c/y", "b/x"]


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "x").touch()
    (tmp_path / "there" / "back").symlink_to(tmp_path)
    (tmp_path / "there" / "itself").symlink_to(tmp_path / "there")
    (tmp_path / "twice").symlink_to(tmp_path / "there")
    (tmp_path / "file").symlink_to(tmp_path / "there" / "x")
    assert below(tmp_path) == ["file", "there/x", "twice/x"]


def test_folders_may_be_deeper_than_calls_may_nest(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=here)
        deeper = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(os.open("x", os.O_WRONLY | os.O_CREAT, dir_fd=here))
    os.close(here)
    assert below(tmp_path) == ["d/" * 1500 + "x"]
    subprocess.run(["rm", "-r", tmp_path / "d"], check=True)  # pytest's own cleaning would nest too deep


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Refused, match=r"cannot read .*/pipe: it is neither a file nor a folder"):
        below(tmp_path)
    (tmp_path / "pipe").unlink()
    (tmp_path / "nowhere").symlink_to("missing")
    with pytest.raises(Refused, match=r"cannot read .*/nowhere: No such file"):
        below(tmp_path)
    (tmp_path / "nowhere").unlink()
    (tmp_path / "round").symlink_to("round")
    with pytest.raises(Refused, match=r"cannot read .*/round: Too many levels of symbolic links"):
        below(tmp_path)
    with pytest.raises(Refused, match=r"cannot read .*/none: No such file"):
        below(tmp_path / "none")


def test_names_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9")).touch()
    with pytest.raises(Refused, match=r"caf\\xe9: its name is not UTF-8"):
        below(tmp_path)
    check_name("/café")


@pytest.mark.parametrize("size", [0, 1, BLOCK, BLOCK + 1])
def test_files_are_read_in_blocks(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    (tmp_path / "x").write_bytes(content)
    blocks = list(Blocks(str(tmp_path / "x")))
    assert b"".join(blocks) == content
    assert all(0 < len(block) <= BLOCK for block in blocks)
    read, place = Blocks(str(tmp_path / "x")), memoryview(bytearray(BLOCK))
    assert next(read, b"") == content[:BLOCK]
    assert bytes(place[: read.read_into(place)]) == content[BLOCK:]
    assert read.read_into(place) == 0


def test_small_files_are_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"1234")
    assert read_small(str(path), 4) == b"1234"
    assert read_small(str(path), 3) is None
    path.write_bytes(b"")
    assert read_small(str(path), 4) is None  # it may be one of the kernel's
    assert read_small("/proc/self/status", 1 << 20) is None
    assert read_small("/dev/null", 1 << 20) is None
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Refused, match=r"it is a named pipe, which may never end"):
        read_small(str(tmp_path / "pipe"), 4)
    with pytest.raises(Refused, match=r": Is a directory"):
        read_small(str(tmp_path), 1 << 20)
    with pytest.raises(Refused, match=r": No such file or directory"):
        read_small(str(tmp_path / "none"), 4)


def test_file_that_grows_while_it_is_read_has_an_end(tmp_path: Path) -> None:
    growing = tmp_path / "x"
    growing.write_bytes(b"x" * (BLOCK + 1))
    got = 0
    for block in Blocks(str(growing)):
        got += len(block)
        with growing.open("ab") as more:
            more.write(block)
    assert got == BLOCK + 1
    read, place = Blocks(str(growing)), memoryview(bytearray(2 * BLOCK))
    assert read.read_into(place[:BLOCK]) == BLOCK
    with growing.open("ab") as more:
        more.write(place)
    assert read.read_into(place) == BLOCK + 2
    assert read.read_into(place) == 0


def test_file_that_is_cut_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, said = tmp_path / "x", r"x: it became shorter while it was read$"
    path.write_bytes(b"x" * (2 * BLOCK))
    blocks, into = Blocks(str(path)), Blocks(str(path))
    place = memoryview(bytearray(BLOCK))
    assert len(next(blocks)) == into.read_into(place) == BLOCK
    os.truncate(path, 1)
    with pytest.raises(Refused, match=said):
        list(blocks)
    with pytest.raises(Refused, match=said):
        into.read_into(place)

    def cut(handle: int) -> os.stat_result:
        found = stat_of(handle)
        os.truncate(path, 0)
        return found

    stat_of = os.fstat
    path.write_bytes(b"1234")
    monkeypatch.setattr(local_files.os, "fstat", cut)
    with pytest.raises(Refused, match=said):
        read_small(str(path), 4)


def test_files_of_the_kernel_that_say_a_size_are_shorter() -> None:
    path = "/sys/kernel/mm/transparent_hugepage/enabled"
    if not os.path.exists(path):
        pytest.skip("no sysfs here")
    assert os.stat(path).st_size > len(read_small(path, 1 << 20) or b"") > 0
    assert b"".join(Blocks(path)) == read_small(path, 1 << 20)


def test_files_of_the_kernel_have_no_size_but_an_end() -> None:
    assert b"".join(Blocks("/proc/self/status")).startswith(b"Name:")


def test_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"cannot read .*/none: No such file"):
        list(Blocks(str(tmp_path / "none")))
    with pytest.raises(Refused, match=r": Is a directory"):
        list(Blocks(str(tmp_path)))


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/urandom", "/dev/full"])
def test_a_device_is_not_read(device: str) -> None:
    with pytest.raises(Refused, match=f"cannot put {device}: it is a device, which may never end"):
        list(Blocks(device))


def test_nothing_is_read_of_nothing() -> None:
    assert list(Blocks("/dev/null")) == []


def test_pipes_and_sockets_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Refused, match="it is a named pipe, which may never end"):
        list(Blocks(str(tmp_path / "pipe")))
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "socket"))
        with pytest.raises(Refused, match=r"cannot read .*/socket: No such device or address"):
            list(Blocks(str(tmp_path / "socket")))


def test_a_file_that_does_not_say_how_long_it_is_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert b"MemTotal" in b"".join(Blocks("/proc/meminfo"))
    monkeypatch.setattr(local_files, "_MOST_UNSIZED", 100)
    with pytest.raises(Refused, match="cannot read /proc/meminfo: it seems to have no end"):
        list(Blocks("/proc/meminfo"))
