"""Many small files (W2, W6): put a folder, put it with some changed and with nothing changed, list it, restore it.

    python -m benchmarks.small_files [--files 10000] [--rounds 3] [--peer-rounds 1]

The limit is `cp -r` and `sync` of the same folder. Then python-pachyderm, unmodified, streams the same files to us
and to a sink that forgets them, and reads them back from both. Nothing is removed before the end: ext4 without a
journal makes files slowly where others were just removed.

Read next: put_get.py, growth.py.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.comparing import LIMIT, OURS, Comparison, verdict
from benchmarks.peers import Dvc, installed
from benchmarks.put_get import SINK, sink, stock
from benchmarks.serving import Serving, serving, settle, timed

FOLDERS = 100
SIZE = 1024
CHANGED_FILES = 100
PUT, CHANGED, SAME, LIST, RESTORE = (
    "put all",
    "put with 100 changed",
    "put with nothing changed",
    "list all",
    "restore",
)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description="Time many small files.")
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer-rounds", type=int, default=1, help="rounds in which other tools take part")
    arguments = parser.parse_args()
    print(f"{arguments.files} files of {SIZE} random bytes in {FOLDERS} folders")
    with tempfile.TemporaryDirectory(prefix="pachlet-bench-") as name:
        run(Path(name), arguments.files, arguments.rounds, arguments.peer_rounds)


def run(work: Path, files: int, rounds: int, peer_rounds: int) -> None:
    """Take the rounds and print what came of them."""
    source = work / "source"
    make_files(source, files)
    kinds = {what: Comparison(what) for what in (PUT, CHANGED, SAME, LIST, RESTORE)}
    peaks = []
    for number in range(rounds):
        copy_limit(work, source, work / f"copy-{number}", kinds)
        with serving(work / f"data-{number}") as server:
            take_our_turn(server, work, source, work / f"got-{number}", kinds)
            peaks.append(server.peak)
        if number < peer_rounds:
            peers(work, source, kinds)
    for what, seconds in ((PUT, 1.0), (CHANGED, 0.6), (SAME, 0.5), (LIST, 0.5), (RESTORE, 0.8)):
        # Where making files is slow, no tool restores them faster than `cp -r` makes them.
        kinds[what].show(most_seconds=seconds, or_limit=what == RESTORE)
    megabytes = stored_at_rest(work, source) / 1e6
    print(
        f"stored at rest {megabytes:.1f} MB for {files * SIZE / 1e6:.1f}   target <= 13 MB: {verdict(megabytes <= 13)}"
    )
    print(
        f"server's memory at its peak {max(peaks):.0f} MiB   target <= 512 MiB: {verdict(max(peaks) <= 512)}"
    )
    streaming(work, source, files, rounds)


def make_files(folder: Path, count: int) -> None:
    """Write the files."""
    for number in range(count):
        parent = folder / f"d{number % FOLDERS:03}"
        parent.mkdir(parents=True, exist_ok=True)
        (parent / f"f{number:06}").write_bytes(os.urandom(SIZE))


def change_files(folder: Path, count: int = CHANGED_FILES) -> None:
    """Write some of the files anew."""
    for path in random.sample(sorted(folder.glob("*/*")), count):
        path.write_bytes(os.urandom(SIZE))


def copy_limit(work: Path, source: Path, target: Path, kinds: dict[str, Comparison]) -> None:
    """Take the limit's turn: one copy, which is what everything but a list is held against."""

    def copy() -> None:
        subprocess.run(["cp", "-r", source, target], check=True)
        settle(work)

    settle(work)
    took = timed(copy)
    for what in (PUT, CHANGED, SAME, RESTORE):
        kinds[what].times[LIMIT].append(took)
    kinds[LIST].times[LIMIT].append(
        timed(lambda: subprocess.run(["find", source], check=True, stdout=subprocess.DEVNULL))
    )


def stored_at_rest(work: Path, source: Path) -> int:
    """Return the bytes that a put of all files leaves in a data directory whose server has stopped."""
    with serving(work / "rest") as server:
        server.pachctl("create", "repo", "a")
        server.pachctl("put", "file", "-r", "a@master:/", "-f", source)
    return server.stored


def take_our_turn(
    server: Serving, work: Path, source: Path, target: Path, kinds: dict[str, Comparison]
) -> None:
    """Do all of it with pachctl."""
    server.pachctl("create", "repo", "a")

    def put() -> None:
        server.pachctl("put", "file", "-r", "a@master:/", "-f", source)

    def restore() -> None:
        server.pachctl("get", "file", "-r", "a@master:/", "-o", target)
        settle(work)

    def take(what: str, act: Callable[[], None]) -> None:
        settle(work)
        kinds[what].times[OURS].append(timed(act))

    take(PUT, put)
    change_files(source)
    take(CHANGED, put)
    take(SAME, put)
    take(LIST, lambda: server.pachctl("glob", "file", "a@master:/**"))
    take(RESTORE, restore)
    subprocess.run(["diff", "-r", source, target], check=True)


def peers(work: Path, source: Path, kinds: dict[str, Comparison]) -> None:
    """Take the turns of other tools."""
    for peer in installed(work / "peers"):
        for what in (PUT, CHANGED, SAME):
            if what == CHANGED:
                change_files(source)
            if isinstance(peer, Dvc):
                peer.prepare(source)
            settle(work)
            kinds[what].times[peer.name].append(timed(lambda: peer.put(source)))  # noqa: B023
        (work / "restored").mkdir()
        kinds[RESTORE].times[peer.name].append(
            timed(lambda: (peer.restore(work / "restored"), settle(work)))  # noqa: B023
        )
        shutil.rmtree(work / "restored")
        shutil.rmtree(peer.place)


def streaming(work: Path, source: Path, files: int, rounds: int) -> None:
    """Compare what an unmodified client gets from us with what it gets from a sink."""
    up, down = Comparison("put all by python-pachyderm"), Comparison("read all by python-pachyderm")
    for number in range(rounds):
        with serving(work / f"streamed-{number}") as server:
            server.pachctl("create", "repo", "a")
            up.times[OURS].append(stock(server.address, "a", "put", source))
            down.times[OURS].append(stock(server.address, "a", "get", Path("/source")))
        with sink(work, source) as address:
            up.times[SINK].append(stock(address, "a", "put", source))
            down.times[SINK].append(stock(address, "a", "get", Path("/source")))
    for each in (up, down):
        each.show(most=1 / 0.8, limit=SINK)
        print(f"    {files / each.median(OURS):.0f} files/s; sink {files / each.median(SINK):.0f} files/s")


if __name__ == "__main__":
    main()
