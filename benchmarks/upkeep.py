"""What the upkeep of storage costs: garbage collection and its stops, disk usage, checks, and cutting up big files.

    python -m benchmarks.upkeep [--files 100000]

A repo of small files is deleted beside one that stays, while a client goes on making commits; how long its
commits take at worst is the stop. Then another client puts as many files in one commit, with collections beside
it. The rooms are used without gRPC, so what is measured is the work.

Read next: docs/storage.md (the numbers), pachlet/pfs/collecting.py.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import resource
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

from benchmarks.comparing import verdict
from pachlet.pfs.checking import Checker
from pachlet.pfs.collecting import Report
from pachlet.pfs.usage import disk_usage
from pachlet.storage.chunks import ChunkStore, Location
from pachlet.storage.content import write_content
from tests.pfs_rooms import Rooms

MIB = 1 << 20
LONGEST_STOP = 1.0
"""So many seconds a commit of one file may wait, whatever else is done."""


def small_files(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    """Yield files of 1 KB that can't be compressed."""
    for number in range(count):
        yield f"/{number % 1000}/{number}", random.Random(seed + number).randbytes(1000)


@contextlib.contextmanager
def commits_meanwhile(rooms: Rooms) -> Iterator[list[float]]:
    """Make one commit after the other while the block runs; give the seconds that each took."""
    took: list[float] = []
    ended = threading.Event()

    def work() -> None:
        number = 0
        while not ended.wait(0.01):
            began = time.perf_counter()
            rooms.put("busy", [("/x", b"%d" % number)])
            took.append(time.perf_counter() - began)
            number += 1

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield took
    finally:
        ended.set()
        thread.join()


def say(what: str, seconds: float, more: str = "") -> None:
    print(f"{what:<44}{seconds:8.2f} s  {more}".rstrip(), flush=True)


def stops(took: list[float]) -> str:
    return (
        f"commits meanwhile: median {statistics.median(took) * 1e3:.0f} ms, longest {max(took) * 1e3:.0f} ms   "
        f"target < {LONGEST_STOP * 1e3:.0f} ms: {verdict(max(took) < LONGEST_STOP)}"
    )


def upkeep(folder: Path, files: int) -> None:
    """Measure collection, usage and checks on two repos of small files."""
    rooms = Rooms(folder)
    for name in ("keep", "drop", "busy"):
        rooms.create_repo(name)
    for name, seed in (("keep", 0), ("drop", 10**9)):
        began = time.perf_counter()
        rooms.put(name, small_files(seed, files))
        say(f"put {files} files", time.perf_counter() - began)
    rooms.delete_repo("drop")
    with commits_meanwhile(rooms) as took:
        threading.Event().wait(3)
    print(f"{'without a collection':<56}{stops(took)}")
    for dry_run in (True, False):
        began = time.perf_counter()
        with commits_meanwhile(rooms) as took:
            [*_, report] = rooms.collector.collect(dry_run=dry_run)
        assert isinstance(report, Report)
        verb = "gc --dry-run" if dry_run else "gc"
        say(
            f"{verb}: {report.chunks} chunks, {report.freed / MIB:.0f} MiB",
            time.perf_counter() - began,
            stops(took),
        )
    beside_a_large_put(rooms, files)
    checker = Checker(rooms.database, rooms.store)
    for what, act in (
        ("du", lambda: disk_usage(rooms.database, rooms.store)),
        ("fsck", lambda: list(checker.check())),
        ("fsck --read", lambda: checker.check_chunks(b"", None, read=True)),
    ):
        began = time.perf_counter()
        act()
        say(what, time.perf_counter() - began)
    rooms.close()
    print(f"most memory of all: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MiB")


def beside_a_large_put(rooms: Rooms, files: int) -> None:
    """Put and delete a large commit without a collection and beside collections, and see how long others wait."""
    for collects in (False, True):
        name, collections = f"large-{collects}", 0
        rooms.create_repo(name)
        with commits_meanwhile(rooms) as took, ThreadPoolExecutor(1) as pool:
            began = time.perf_counter()
            putting = pool.submit(rooms.put, name, small_files(2 * 10**9 + collects, files))
            while not putting.done():
                if collects:
                    rooms.collect()
                    collections += 1
                else:
                    wait([putting])
            putting.result()
        beside = f"put {files} files beside {collections} collections" if collects else f"put {files} files"
        say(beside, time.perf_counter() - began, stops(took))


class _Index(dict[bytes, Location]):
    def find_chunk(self, hash: bytes) -> Location | None:
        return self.get(hash)


def prices(size: int) -> bytes:
    """Return a CSV of made-up prices, no two rows alike."""
    chance, price, rows, length = random.Random(1), 50_000.0, [], 0
    while length < size:
        price *= 1 + chance.gauss(0, 0.001)
        rows.append(f"2021-{chance.randrange(1, 13):02}-01,{price:.6f},{chance.randrange(10**9)}\n")
        length += len(rows[-1])
    return "".join(rows).encode()


def big_files(folder: Path) -> None:
    """Measure storing one big file with one thread and with all."""
    chance = random.Random(0)
    noise = b"".join(chance.randbytes(MIB) for _ in range(256))
    for kind, data in (("random bytes", noise), ("CSV", prices(128 * MIB))):
        for threads in (1, 2, 1, 2):
            store = ChunkStore(folder / f"{kind} {threads} {time.time_ns()}", _Index(), threads=threads)
            writer = store.writer()
            began = time.perf_counter()
            write_content(writer, (data[at : at + MIB] for at in range(0, len(data), MIB)))
            seconds = time.perf_counter() - began
            say(f"{kind}, {threads} threads", seconds, f"{len(data) / seconds / 1e6:.0f} MB/s")
            store.close()


def main() -> None:
    """Measure everything in a temporary folder."""
    parser = argparse.ArgumentParser(description="Measure the upkeep of storage.")
    parser.add_argument("--files", type=int, default=100_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        upkeep(Path(folder, "data"), arguments.files)
        big_files(Path(folder))


if __name__ == "__main__":
    main()
