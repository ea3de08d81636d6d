"""What the upkeep of storage costs: garbage collection and its stops, disk usage, checks, backups, cutting big files.

    python -m benchmarks.upkeep [--files 100000] [--backup-mib 512]

A repo of small files is deleted beside one that stays, while a client goes on making commits; how long its
commits take at worst is the stop. Then another client puts as many files in one commit, with collections beside
it. The rooms are used without gRPC, so what is measured is the work. Backups and restores are commands, beside a copy
of the same files that is made durable.

Read next: docs/storage.md (the numbers), pachlet/pfs/collecting.py.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import resource
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

from benchmarks.comparing import LIMIT, OURS, Comparison, verdict
from benchmarks.put_get import write_random
from benchmarks.serving import Serving, serving, settle, timed, warm
from benchmarks.small_files import make_files
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


BACKUP, AGAIN, RESTORE = "backup", "backup again, nothing changed", "restore"
BACKUP_ROUNDS = 3
BACKUP_FILES = 10_000


def backups(work: Path, mib: int) -> None:
    """Measure backups and restores of one large file and many small ones."""
    work.mkdir()
    make_files(work / "source", BACKUP_FILES)
    write_random(work / "source" / "big", mib)
    kinds = {what: Comparison(what) for what in (BACKUP, AGAIN, RESTORE)}
    with serving(work / "data") as server:
        server.pachctl("create", "repo", "a")
        server.pachctl("put", "file", "-r", "a@master:/", "-f", work / "source")
        for number in range(BACKUP_ROUNDS):
            back_up_and_restore(server, work, str(number), kinds)
        peak = server.peak
    print(f"one file of {mib} MiB and {BACKUP_FILES} small ones; the limit is cp and sync of a backup")
    for each in kinds.values():
        each.show()
    print(f"server's memory at its peak {peak:.0f} MiB   target <= 512 MiB: {verdict(peak <= 512)}")


def back_up_and_restore(server: Serving, work: Path, name: str, kinds: Mapping[str, Comparison]) -> None:
    """Take one round, each part of it with the memory that it needs at hand."""
    saved, source = work / f"saved-{name}", work / "source" / "big"

    def copy() -> None:
        subprocess.run(["cp", "-r", saved, work / f"copy-{name}"], check=True)
        settle(work)

    def restore() -> None:
        server.pachctl("restore", saved, "--data-dir", work / f"restored-{name}")

    for what in (BACKUP, AGAIN):
        warm(work, source)
        kinds[what].times[OURS].append(timed(lambda: server.pachctl("backup", saved)))
    warm(work, source)
    kinds[RESTORE].times[OURS].append(timed(restore))
    warm(work, source)
    took = timed(copy)
    for what in (BACKUP, RESTORE):
        kinds[what].times[LIMIT].append(took)


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
    parser.add_argument("--backup-mib", type=int, default=512, help="size of the large file in the backup")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        upkeep(Path(folder, "data"), arguments.files)
        big_files(Path(folder))
        backups(Path(folder, "backups"), arguments.backup_mib)


if __name__ == "__main__":
    main()
