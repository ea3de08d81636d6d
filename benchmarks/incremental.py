"""An incremental pipeline (W3): a trivial command for each of many files, then a reduce; again with nothing changed,
and with a few files changed.

    python -m benchmarks.incremental [--files 1000,5000] [--rounds 3] [--peer-rounds 1]

Ours are sandboxed and recorded; what the others do beside us is neither. Everything is timed as a user types it:
`put file --wait` from the folder to the committed total, process start included. The limit is the same command as
plain processes, two at a time. The batched rows run one Python process per worker, which is handed file after file.

Read next: incremental_peers.py (make and the others), comparing.py.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import tempfile
from pathlib import Path

from benchmarks.comparing import LIMIT, OURS, Comparison, verdict
from benchmarks.incremental_peers import Peer, installed
from benchmarks.serving import ROOT, Serving, serving, settle, timed
from pachlet.client import pipelines, repos
from pachlet.client.connection import Connection
from pachlet.client.get_file import get_bytes
from pachlet.config import default_envs
from pachlet.worker.process import ProcessRunner

CHANGED_FILES = 10
FULL, BATCHED, SAME, CHANGED = "full", "full, batched", "nothing changed", f"{CHANGED_FILES} changed"
COUNT = 'wc -c < "$in" > "/pfs/out/${in##*/}"'
SUM = "cat /pfs/count/* | awk '{ sum += $1 } END { print sum }' > /pfs/out/total"
BATCHED_STEP = """
import os
from pathlib import Path
from pachlet.step import main

def run(inputs, out):
    source = Path(os.environ["in"])
    (out / source.name).write_text(f"{len(source.read_bytes())}\\n")

main(run, batching=True)
"""
_IMAGE = """ARG BASE=pachlet/base-frames:1
FROM ${BASE}
COPY pachlet/step.py /app/pachlet/step.py
COPY count.py /app/count.py
WORKDIR /app
"""


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description="Time an incremental pipeline.")
    parser.add_argument("--files", default="1000,5000")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer-rounds", type=int, default=1, help="rounds in which other tools take part")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pachlet-bench-") as name:
        work = Path(name)
        code = make_code(work / "code")
        first: dict[str, float] = {}
        for files in map(int, arguments.files.split(",")):
            found = run(work, code, files, arguments.rounds, arguments.peer_rounds if not first else 0)
            show(found, files, first)
            first = first or {what: found[what].median(OURS) / files for what in (FULL, BATCHED)}


def make_code(folder: Path) -> Path:
    """Make a code folder with the image of the batched step, and its environment."""
    for name in ("images/base-python", "images/base-frames"):
        shutil.copytree(ROOT / name, folder / name)
    (folder / "images" / "count").mkdir()
    (folder / "images" / "count" / "Dockerfile").write_text(_IMAGE)
    (folder / "pachlet").mkdir()
    shutil.copy(ROOT / "pachlet" / "step.py", folder / "pachlet")
    (folder / "count.py").write_text(BATCHED_STEP)
    runner = ProcessRunner(folder, default_envs())
    try:
        runner.prepare(runner.resolve("pachlet/count"), folder / "snapshot", print)
    finally:
        runner.close()
    return folder


def run(work: Path, code: Path, files: int, rounds: int, peer_rounds: int) -> dict[str, Comparison]:
    """Take the rounds for a number of files."""
    kinds = {what: Comparison(what) for what in (FULL, BATCHED, SAME, CHANGED)}
    for number in range(rounds):
        source = work / "source"
        make_files(source, files)
        kinds[FULL].times[LIMIT].append(plain(work, source))
        for batched in (False, True):
            with serving(work / "data", code=code) as server:
                take_our_turn(server, work, source, kinds, batched=batched)
            shutil.rmtree(work / "data")
        if number < peer_rounds:
            for peer in installed(work / "peers"):
                take_turn(peer, source, kinds)
        shutil.rmtree(source)
    return kinds


def make_files(folder: Path, count: int) -> None:
    """Write the files."""
    folder.mkdir()
    for number in range(count):
        (folder / f"f{number:05}").write_bytes(os.urandom(random.randrange(64, 128)))


def change_files(folder: Path) -> None:
    """Make some of the files longer."""
    for path in random.sample(sorted(folder.iterdir()), CHANGED_FILES):
        path.write_bytes(path.read_bytes() + os.urandom(10))


def plain(work: Path, source: Path) -> float:
    """Return the seconds that the commands take as plain processes, two at a time."""
    out = work / "plain"
    out.mkdir()
    one = f'in="$0"; wc -c < "$in" > "{out}/${{in##*/}}"'
    try:
        return timed(
            lambda: (
                subprocess.run(
                    ["xargs", "-P2", "-n1", "sh", "-c", one],
                    input="\n".join(str(each) for each in source.iterdir()),
                    text=True,
                    check=True,
                ),
                subprocess.run(
                    f"cat {out}/* | awk '{{ s += $1 }} END {{ print s }}'",
                    shell=True,
                    check=True,
                    stdout=subprocess.DEVNULL,
                ),
            )
        )
    finally:
        shutil.rmtree(out)


def take_our_turn(
    server: Serving, work: Path, source: Path, kinds: dict[str, Comparison], *, batched: bool
) -> None:
    """Do all of it with pachctl."""
    with Connection(server.address) as connection:
        repos.create_repo(connection, "in")
        transform = (
            {"image": "pachlet/count", "cmd": ["python", "count.py"], "datum_batching": True}
            if batched
            else {"image": "debian:12", "cmd": ["sh"], "stdin": [COUNT]}
        )
        for name, repo, glob, each in (
            ("count", "in", "/*", transform),
            ("sum", "count", "/", {"image": "debian:12", "cmd": ["sh"], "stdin": [SUM]}),
        ):
            pipelines.create_pipeline(
                connection,
                {
                    "pipeline": {"name": name},
                    "input": {"pfs": {"repo": repo, "glob": glob}},
                    "transform": each,
                    "parallelism_spec": {"constant": 2},
                },
            )

        def put() -> None:
            server.pachctl("put", "file", "--wait", "-r", "in@master:/", "-f", source)

        def take(what: str) -> None:
            settle(work)
            kinds[what].times[OURS].append(timed(put))
            total = sum(each.stat().st_size for each in source.iterdir())
            assert int(get_bytes(connection, "sum@master:/total")) == total, "the total is off"

        take(BATCHED if batched else FULL)
        if not batched:
            take(SAME)
            copy = work / "copy"
            shutil.copytree(source, copy)
            change_files(source)
            take(CHANGED)
            shutil.rmtree(source)
            copy.rename(source)


def take_turn(peer: Peer, source: Path, kinds: dict[str, Comparison]) -> None:
    """Take the turn of another tool."""
    settle(peer.place)
    copy = peer.place / "in"
    shutil.copytree(source, copy)
    kinds[FULL].times[peer.name].append(timed(peer.run))
    kinds[SAME].times[peer.name].append(timed(peer.run))
    change_files(copy)
    kinds[CHANGED].times[peer.name].append(timed(peer.run))
    shutil.rmtree(peer.place)


def show(found: dict[str, Comparison], files: int, first: dict[str, float]) -> None:
    """Print it; `first` is what an item cost with the first number of files, or nothing."""
    print(f"\n{files} files")
    found[FULL].show()
    found[BATCHED].times[LIMIT] = found[FULL].times[LIMIT]
    found[BATCHED].show()
    found[SAME].show(most_seconds=None if first else 0.4)
    found[CHANGED].show(most_seconds=None if first else 0.8)
    for what, most in ((FULL, 5.0), (BATCHED, 1.0)):
        each = found[what].median(OURS) / files
        line = f"{what}, per file {each * 1e3:6.2f} ms"
        if first:
            growth = each / first[what]
            line += f"   {growth:.2f} of what it was with fewer   target <= 1.50: {verdict(growth <= 1.5)}"
        else:
            line += f"   target <= {most:.1f} ms: {verdict(each <= most / 1e3)}"
        print(line, flush=True)


if __name__ == "__main__":
    main()
