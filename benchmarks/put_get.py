"""One large file (W1): put it, put it again with a piece changed, bring it back; the limit is cp and fsync.

    python -m benchmarks.put_get [--mib 1024] [--rounds 5] [--peer-rounds 1]
    python -m benchmarks.put_get --mib 10240 --rounds 1 --peer-rounds 0      the server's memory with 10 GiB

Each round has a new server with nothing in it, because bytes that are there already cost nothing. Commands are
timed as they are typed, process start included. Before each of them, and before each copy, as much memory is given
back as the file takes (`warm`). Then python-pachyderm, unmodified, streams the same file to us and to a sink that only
writes it down.

Read next: comparing.py, small_files.py.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.comparing import LIMIT, OURS, Comparison, verdict
from benchmarks.peers import Dvc, installed
from benchmarks.serving import MIB, ROOT, Serving, serving, settle, started, timed, warm

STOCK = ROOT / ".venvs" / "python-pachyderm" / "bin" / "python"
SINK = "bare sink"
PUT, CHANGED, GET = "put one file", "put it with 1 MiB changed", "get it"


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description="Time one large file.")
    parser.add_argument(
        "--mib", type=int, default=1024, help="size of the file; four times as much disk is needed"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peer-rounds", type=int, default=1, help="rounds in which other tools take part")
    arguments = parser.parse_args()
    print(f"one file of {arguments.mib} MiB of random bytes, {len(os.sched_getaffinity(0))} cores")
    with tempfile.TemporaryDirectory(prefix="pachlet-bench-") as name:
        run(Path(name), arguments.mib, arguments.rounds, arguments.peer_rounds)


def run(work: Path, mib: int, rounds: int, peer_rounds: int) -> None:
    """Take the rounds and print what came of them."""
    source = work / "source" / "big"
    source.parent.mkdir()
    kinds = {what: Comparison(what) for what in (PUT, CHANGED, GET)}
    peaks, grown = [], []
    for number in range(rounds):
        write_random(source, mib)
        copy_limit(work, source, kinds)
        with serving(work / f"data-{number}") as server:
            grown.append(put_and_get(server, work, source, kinds))
            peaks.append(server.peak)
        shutil.rmtree(work / f"data-{number}")
        if number < peer_rounds:
            peers(work, source, mib, kinds)
    kinds[PUT].show(most=1.6)
    kinds[CHANGED].show(most=1.0)
    kinds[GET].show(most=1.5)
    share = kinds[CHANGED].median(OURS) / kinds[PUT].median(OURS)
    print(f"the changed copy takes {share:.2f} of the time of the new file")
    stored = statistics.median(grown) / MIB
    print(
        f"stored for 1 MiB changed {stored:.1f} MiB (once {max(grown) / MIB:.1f})   "
        f"target <= 4 MiB: {verdict(stored <= 4)}"
    )
    print(
        f"server's memory at its peak {max(peaks):.0f} MiB   target <= 512 MiB: {verdict(max(peaks) <= 512)}"
    )
    streamed = Comparison("put one file by python-pachyderm")
    (work / "empty").mkdir()
    for number in range(min(rounds, 3)):
        with serving(work / f"data-{number}") as server:
            server.pachctl("create", "repo", "disk")
            warm(work, source)
            streamed.times[OURS].append(stock(server.address, "disk", "put", source))
        shutil.rmtree(work / f"data-{number}")
        with sink(work, work / "empty") as address:
            warm(work, source)
            streamed.times[SINK].append(stock(address, "disk", "put", source))
    streamed.show(most=1 / 0.7, limit=SINK)


def write_random(path: Path, mib: int) -> None:
    """Write a new file of random bytes."""
    with path.open("wb") as out:
        for _ in range(mib):
            out.write(os.urandom(MIB))


def change(path: Path, mib: int) -> None:
    """Write 1 MiB anew in the middle of a file."""
    with path.open("r+b") as out:
        out.seek(mib // 2 * MIB + 4321)
        out.write(os.urandom(MIB))


def durable(path: Path) -> None:
    """Make a file survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


def copy(source: Path, target: Path) -> None:
    """Copy a file with cp and make it durable."""
    subprocess.run(["cp", source, target], check=True)
    durable(target)


def copy_limit(work: Path, source: Path, kinds: dict[str, Comparison]) -> None:
    """Take the limit's turn: a copy for each kind of work."""
    for what in kinds:
        warm(work, source)
        target = work / "copy"
        kinds[what].times[LIMIT].append(timed(lambda: copy(source, target)))  # noqa: B023
        target.unlink()


def put_and_get(server: Serving, work: Path, source: Path, kinds: dict[str, Comparison]) -> int:
    """Take our turn; return the bytes that the change added."""
    server.pachctl("create", "repo", "a")
    target = work / "got"

    def put() -> None:
        server.pachctl("put", "file", "a@master:/big", "-f", source)

    def get() -> None:
        server.pachctl("get", "file", "a@master:/big", "-o", target)
        durable(target)

    warm(work, source)
    kinds[PUT].times[OURS].append(timed(put))
    before = server.stored
    change(source, source.stat().st_size // MIB)
    warm(work, source)
    kinds[CHANGED].times[OURS].append(timed(put))
    grown = server.stored - before
    warm(work, source)
    kinds[GET].times[OURS].append(timed(get))
    subprocess.run(["cmp", source, target], check=True)
    target.unlink()
    return grown


def peers(work: Path, source: Path, mib: int, kinds: dict[str, Comparison]) -> None:
    """Take the turns of other tools."""
    for peer in installed(work / "peers"):

        def prepare() -> None:
            if isinstance(peer, Dvc):  # noqa: B023
                peer.prepare(source.parent)  # noqa: B023
            warm(work, source)

        def put() -> None:
            peer.put(source.parent)  # noqa: B023
            settle(work)

        def restore() -> None:
            peer.restore(work / "restored")  # noqa: B023
            settle(work)

        prepare()
        kinds[PUT].times[peer.name].append(timed(put))
        change(source, mib)
        prepare()
        kinds[CHANGED].times[peer.name].append(timed(put))
        (work / "restored").mkdir()
        kinds[GET].times[peer.name].append(timed(restore))
        shutil.rmtree(work / "restored")
        shutil.rmtree(peer.place)


@contextmanager
def sink(work: Path, folder: Path) -> Iterator[str]:
    """Run the bare sink; yield its address."""
    told = work / "sink"
    words = [sys.executable, "-m", "benchmarks.bare_sink", str(folder), str(told)]
    with started(words, told) as (address, _):
        yield address
    told.unlink()


def stock(address: str, repo: str, action: str, path: Path) -> float:
    """Have python-pachyderm do something; return the seconds that it took, without its own start."""
    words = [STOCK, ROOT / "benchmarks" / "stock_client.py", address, repo, action, path]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    return float(done.stdout)


if __name__ == "__main__":
    main()
