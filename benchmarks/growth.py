"""How costs grow with the number of files and of commits.

    python -m benchmarks.growth [--files 10000,100000,300000] [--commits 1000]

For each number of files, on a new server: put all, list all, restore all, and a commit of one file on top. Then many
commits in one repo, and reading its head.

Read next: small_files.py.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.comparing import verdict
from benchmarks.serving import serving, settle, timed
from benchmarks.small_files import SIZE, make_files
from pachlet.client import repos
from pachlet.client.connection import Connection
from pachlet.client.get_file import get_bytes
from pachlet.client.put_file import from_bytes, put_file

ONE_FILE_ROUNDS = 5
FEW = 10  # commits
READINGS = 101


@dataclass(frozen=True)
class Cost:
    """What a number of files cost; times of all files in microseconds a file, of one file in milliseconds."""

    files: int
    copy: float
    put: float
    list: float
    restore: float
    one_file: float
    memory: float


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description="See how costs grow.")
    parser.add_argument("--files", default="10000,100000,300000")
    parser.add_argument("--commits", type=int, default=1000)
    arguments = parser.parse_args()
    found = []
    print(f"files of {SIZE} random bytes in 100 folders; microseconds a file")
    print(
        f"{'files':>8} {'cp -r':>8} {'put':>8} {'list':>8} {'restore':>8} {'one more file':>15} {'memory':>10}"
    )
    for files in map(int, arguments.files.split(",")):
        with tempfile.TemporaryDirectory(prefix="pachlet-bench-") as name:
            cost = measure(Path(name), files)
        found.append(cost)
        print(
            f"{cost.files:>8} {cost.copy:>8.0f} {cost.put:>8.0f} {cost.list:>8.0f} {cost.restore:>8.0f} "
            f"{cost.one_file:>12.1f} ms {cost.memory:>6.0f} MiB",
            flush=True,
        )
    for what in ("put", "list", "restore"):
        growth = getattr(found[-1], what) / getattr(found[0], what)
        print(f"{what}: {growth:.2f} times as much a file   target <= 1.50: {verdict(growth <= 1.5)}")
    few, many = found[0], found[-1]
    growth = many.one_file / few.one_file
    print(
        f"a commit of one file on {many.files}: {many.one_file:.1f} ms, {growth:.2f} times that on {few.files}   "
        f"target <= 1.50: {verdict(growth <= 1.5)}"
    )
    for each in found:
        if each.files == 100_000:
            seconds = each.put * each.files / 1e6
            print(f"100000 files put in {seconds:.1f} s   target <= 8 s: {verdict(seconds <= 8)}")
        print(
            f"server's memory with {each.files} files {each.memory:.0f} MiB   "
            f"target <= 512 MiB: {verdict(each.memory <= 512)}"
        )
    many_commits(arguments.commits)


def measure(work: Path, files: int) -> Cost:
    """Return what a number of files costs."""
    source = work / "source"
    make_files(source, files)

    def took(act: Callable[[], None]) -> float:
        settle(work)
        return timed(act) / files * 1e6

    def copy() -> None:
        subprocess.run(["cp", "-r", source, work / "copy"], check=True)  # stays: see small_files.py
        settle(work)

    def restore() -> None:
        server.pachctl("get", "file", "-r", "a@master:/", "-o", work / "got")
        settle(work)

    copied = took(copy)
    with serving(work / "data") as server, Connection(server.address) as connection:
        server.pachctl("create", "repo", "a")
        put = took(lambda: server.pachctl("put", "file", "-r", "a@master:/", "-f", source))
        listed = took(lambda: server.pachctl("glob", "file", "a@master:/**"))
        restored = took(restore)
        one = [
            timed(lambda: put_file(connection, "a@master", [from_bytes("/d050/new", os.urandom(SIZE))])) * 1e3
            for _ in range(ONE_FILE_ROUNDS)
        ]
        return Cost(files, copied, put, listed, restored, statistics.median(one), server.peak)


def many_commits(count: int) -> None:
    """Print what reading the head costs in a repo with few commits and in one with many, in turns."""
    with tempfile.TemporaryDirectory(prefix="pachlet-bench-") as name, serving(Path(name) / "data") as server:
        with Connection(server.address) as connection:
            for number in (FEW, count):
                make_commits(connection, f"commits-{number}", number)
            times: dict[int, list[float]] = {FEW: [], count: []}
            for _ in range(READINGS):
                for number, took in times.items():
                    took.append(timed(lambda: get_bytes(connection, f"commits-{number}@master:/f5")))  # noqa: B023
        few, many = (statistics.median(took) * 1e3 for took in times.values())
        print(
            f"reading a file of the head: {few:.2f} ms after {FEW} commits, {many:.2f} ms after {count}   "
            f"target: within 1.5x: {verdict(many <= 1.5 * few)}"
        )


def make_commits(connection: Connection, repo: str, count: int) -> None:
    """Make a repo with so many commits of a file each."""
    repos.create_repo(connection, repo)
    for number in range(count):
        put_file(connection, f"{repo}@master", [from_bytes(f"/f{number % 100}", b"%d" % number)])


if __name__ == "__main__":
    main()
