"""Large content, cut in another process: what comes of it, whatever becomes of that process."""

from __future__ import annotations

import mmap
import os
import random
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, wait
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from pachlet.errors import Refused, Unavailable
from pachlet.local_files import Blocks
from pachlet.storage import chunks, cutter, cutting
from pachlet.storage.chunks import ChunkStore, ChunkWriter, Location
from pachlet.storage.content import read_content, write_content, write_content_like
from pachlet.storage.cutter import Cutter
from pachlet.storage.hashing import Bytes

MIB = 1 << 20
DATA = random.Random(8).randbytes(21 * MIB + 5)


class Index(dict[bytes, Location]):
    """A chunk index in memory."""

    def find_chunk(self, hash: bytes) -> Location | None:
        return self.get(hash)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChunkStore]:
    monkeypatch.setattr(cutter, "SEGMENT", 5 * MIB)
    monkeypatch.setattr(cutting, "LARGE", 10 * MIB)
    store = ChunkStore(tmp_path / "packs", Index(), threads=2)
    yield store
    store.close()


def wait_for(process: Cutter) -> None:
    """Wait until a cutter has said that it is there."""
    select.select([process._answers], [], [])


def start(store: ChunkStore) -> None:
    """Have a cutter ready."""
    with store.cutter() as process:
        assert process is not None
        wait_for(process)


def expected() -> list[int]:
    return cutter.cut_lengths(DATA)


def imported(*folders: str) -> str:
    """Return what a process gets for a cutter that looks for modules in these folders, and the click that it has."""
    program = (
        "import runpy, sys; sys.path[:0] = sys.argv[2:]; "
        "found = runpy.run_path(sys.argv[1])['import_cutter'](); "
        "print(found.__module__, '__file__' in vars(sys.modules['click']))"
    )
    words = [sys.executable, "-c", program, str(cutter._PROGRAM), *folders]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def test_cutter_does_without_what_its_package_needs_for_other_ends(tmp_path: Path) -> None:
    assert imported() == "fastcdc.fastcdc_cy False\n"
    (tmp_path / "click.py").write_text("def secho(text): pass\n")
    (tmp_path / "fastcdc.py").write_text("import click\nclick.secho('slow')\ndef fastcdc(): pass\n")
    assert imported(str(tmp_path)) == "fastcdc True\n"


def test_what_a_module_prints_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So does fastcdc where it has no compiled part."""
    program = "print('slow', flush=True)\ndef fastcdc(data, *sizes): return [memoryview(data)]\n"
    (tmp_path / "fastcdc.py").write_text(
        program.replace("memoryview(data)", "type('', (), {'length': len(data)})")
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delattr(cutter, "cut_lengths")
    process = Cutter()
    try:
        wait_for(process)
        process.begin(0, cutter.HEAD, cutter.HEAD + 1000)
        assert list(process.lengths()) == [1000]
    finally:
        process.close()


def test_content_is_cut_in_the_other_process(store: ChunkStore, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = expected()
    start(store)
    monkeypatch.delattr(cutter, "cut_lengths")
    writer = store.writer()
    for _ in range(2):
        content = write_content(writer, [DATA])
        assert [length for _, length in content.chunks] == lengths
        assert b"".join(read_content(store, content)) == DATA


class Held:
    """Puts of which the first comes to nothing once the second is at work, which ends only when it is waited for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._numbers, self._lock = count(), threading.Lock()
        self._begun, self.is_over = threading.Event(), threading.Event()
        monkeypatch.setattr(chunks, "wait", self._wait)

    def _wait(self, futures: list[Future[Any]]) -> None:
        self.is_over.set()
        wait(futures)

    def is_first(self) -> bool:
        with self._lock:
            number = next(self._numbers)
        if number == 0:
            self._begun.wait(30)
            return True
        if number == 1:
            self._begun.set()
            self.is_over.wait(30)
        return False


@pytest.mark.parametrize("size", [8 * MIB, len(DATA)])
def test_nothing_of_what_failed_is_at_work_any_more(
    store: ChunkStore, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    start(store)
    held, put = Held(monkeypatch), ChunkWriter.put

    def put_one(self: ChunkWriter, data: Bytes) -> bytes:
        if held.is_first():
            raise Unavailable("no space left")
        return put(self, data)

    monkeypatch.setattr(ChunkWriter, "put", put_one)
    failed = None
    try:
        write_content(store.writer(), [DATA[:size]])
    except Unavailable as error:
        failed = error.with_traceback(None)
    try:
        assert failed is not None
        assert store.writers() == []  # so a collection would give back what was written
    finally:
        held.is_over.set()


def test_nothing_of_a_comparison_that_ended_is_at_work_any_more(
    store: ChunkStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = store.writer()
    before = write_content(writer, [DATA])
    held, put_known = Held(monkeypatch), ChunkWriter.put_known

    def put_if_known(self: ChunkWriter, digest: bytes, data: Bytes) -> bool:
        return not held.is_first() and put_known(self, digest, data)

    monkeypatch.setattr(ChunkWriter, "put_known", put_if_known)
    try:
        assert write_content_like(store, store.writer(), [DATA], before) == before
        assert store.writers() == [writer]
    finally:
        held.is_over.set()


def test_a_file_is_read_into_the_shared_memory(tmp_path: Path, store: ChunkStore) -> None:
    (tmp_path / "x").write_bytes(DATA)

    class Unread(Blocks):
        def __next__(self) -> bytes:
            raise AssertionError("a block was made only to be copied")

    content = write_content(store.writer(), Unread(str(tmp_path / "x")))
    assert content == write_content(store.writer(), [DATA])


def test_a_process_that_is_killed_changes_nothing(store: ChunkStore) -> None:
    start(store)
    with store.cutter() as process:
        assert process is not None
        number = process._process.pid

    def blocks() -> Iterator[bytes]:
        for at in range(0, len(DATA), MIB):
            if at == 12 * MIB:
                os.kill(number, signal.SIGKILL)
            yield DATA[at : at + MIB]

    writer = store.writer()
    content = write_content(writer, blocks())
    assert [length for _, length in content.chunks] == expected()
    assert b"".join(read_content(store, content)) == DATA


class Fewer(Blocks):
    """A file that says more than it has, as the kernel's own do."""

    def left(self) -> int:
        return super().left() + len(DATA)


def test_a_file_that_has_less_than_it_says_is_what_it_has(tmp_path: Path, store: ChunkStore) -> None:
    writer = store.writer()  # what it holds is not published
    for size in (0, 1, 6 * MIB):
        (tmp_path / "x").write_bytes(DATA[:size])
        content = write_content(writer, Fewer(str(tmp_path / "x")))
        assert b"".join(read_content(store, content)) == DATA[:size]


def test_a_file_that_became_shorter_meanwhile_is_refused(tmp_path: Path, store: ChunkStore) -> None:
    for left in (0, 1, 6 * MIB):
        (tmp_path / "x").write_bytes(DATA)
        blocks = Blocks(str(tmp_path / "x"))
        assert blocks.left() == len(DATA)
        os.truncate(tmp_path / "x", left)
        with pytest.raises(Refused, match=r"it became shorter while it was read"):
            write_content(store.writer(), blocks)


def test_where_no_process_can_be_started_content_is_cut_here(
    store: ChunkStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> Cutter:
        raise BlockingIOError

    monkeypatch.setattr(chunks, "Cutter", refuse)
    assert [length for _, length in write_content(store.writer(), [DATA]).chunks] == expected()


def test_content_that_breaks_off_ends_the_process_and_the_next_has_another(store: ChunkStore) -> None:
    start(store)

    def broken() -> Iterator[bytes]:
        yield DATA
        raise ConnectionError

    with store.cutter() as process:
        assert process is not None
    with pytest.raises(ConnectionError):
        write_content(store.writer(), broken())
    assert process._process.poll() is not None
    assert [length for _, length in write_content(store.writer(), [DATA]).chunks] == expected()


def test_little_is_read_ahead(store: ChunkStore) -> None:
    taken = 0

    def blocks() -> Iterator[bytes]:
        nonlocal taken
        source = random.Random(2)
        while True:
            taken += MIB
            yield source.randbytes(MIB)

    stored = cutting.put_cut(store.writer(), cutting.Source(blocks()))
    for _ in range(40):
        _, length = next(stored)
        taken -= length
        assert taken <= (10 + cutter.SEGMENTS * 5) * MIB
    stored.close()  # type: ignore[attr-defined]


def test_two_contents_at_a_time_have_a_process_each_and_one_stays(store: ChunkStore) -> None:
    assert store.threads == 2
    with store.cutter() as one, store.cutter() as other, store.cutter() as third:
        assert one is not None
        assert other is not None
        assert third is None
        # More contents are cut where they are stored, with the same cuts.
        assert [length for _, length in write_content(store.writer(), [DATA]).chunks] == expected()
    with store.cutter() as one, store.cutter() as other:
        assert None not in (one, other)
    assert [each._process.poll() for each in (one, other)] == [None, -signal.SIGKILL]


def test_its_memory_is_there_until_what_was_put_is_sealed(store: ChunkStore) -> None:
    with store.cutter() as process:
        assert process is not None
        memory = os.dup(process._descriptor)
    writer = store.writer()
    try:
        for _ in range(2):
            write_content(writer, [DATA])
            assert os.fstat(memory).st_blocks
        writer.seal()
        store.close()  # which lets it finish
        assert not os.fstat(memory).st_blocks
    finally:
        os.close(memory)


def test_what_is_there_goes_to_the_disk_before_the_last_of_it_is_cut(
    store: ChunkStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends: list[int] = []
    monkeypatch.setattr(chunks.Pack, "sync", lambda pack, end: ends.append(end))
    content = write_content(store.writer(), [DATA])
    store.close()  # which waits for it
    assert len(ends) == 1
    assert 0 < ends[0] < content.size


def test_an_empty_block_is_no_end(store: ChunkStore) -> None:
    """python-pachyderm begins each file with one; a small file lost its bytes by it."""
    for blocks in ([b"", b"Alpha\n"], [b"Al", b"", b"", b"pha\n", b""], [b"", DATA[:9_000_000], b"", b"x"]):
        writer = store.writer()
        content = write_content(writer, blocks)
        assert b"".join(read_content(store, content)) == b"".join(blocks)


def test_a_process_whose_memory_can_not_be_given_back_is_not_kept(
    store: ChunkStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = store.writer()
    write_content(writer, [DATA])
    with store.cutter() as first:
        assert first is not None
    monkeypatch.setattr(mmap, "MADV_REMOVE", -1)  # as where a kernel does not know it
    rested = store.rest()
    assert rested is not None
    rested.result()
    assert first._process.poll() is not None
    assert [length for _, length in write_content(store.writer(), [DATA]).chunks] == expected()


def test_a_process_that_can_not_be_started_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError

    monkeypatch.setattr(subprocess, "Popen", refuse)
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(BlockingIOError):
        Cutter()
    assert set(os.listdir("/proc/self/fd")) == before
