"""How soon new data starts a step (W4): from the moment that a commit is finished to a line of the step's own.

    python -m benchmarks.latency [--pipelines 100] [--times 200]

Many pipelines are defined, each on a repo of its own. Files are put one after the other, each once the job of the one
before is over: first always for the same pipeline, whose worker is warm, then for the pipelines in turn, most of which
have none. The step is a shell that asks the system for the time, so its own start is counted. The limit is
what inotifywait and a shell take to notice a new file in a folder, where inotifywait is installed.

Read next: incremental.py, comparing.py.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.comparing import verdict
from benchmarks.serving import serving
from pachlet.client import commits, pipelines, repos
from pachlet.client.connection import Connection
from pachlet.client.get_file import get_bytes
from pachlet.client.put_file import from_bytes, put_file

MEDIAN, LAST_BUT_ONE_IN_100 = 25.0, 80.0
"""The targets, in milliseconds."""


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description="Time how soon new data starts a step.")
    parser.add_argument("--pipelines", type=int, default=100)
    parser.add_argument("--times", type=int, default=200)
    arguments = parser.parse_args()
    print(
        f"{arguments.pipelines} pipelines defined, {arguments.times} commits; milliseconds from a commit to its step"
    )
    with tempfile.TemporaryDirectory(prefix="pachlet-bench-") as name:
        show("inotifywait and a shell", list(watched(Path(name), arguments.times)), is_ours=False)
        with serving(Path(name, "data")) as server, Connection(server.address) as connection:
            names = [f"p{number}" for number in range(arguments.pipelines)]
            for each in names:
                define(connection, each)
            for (
                each
            ) in names:  # so that every one has an output to be read, and the code of its image is there
                trigger(connection, each, b"first")
            times = range(arguments.times)
            show("ours, one pipeline", [trigger(connection, "p0", b"%d" % each) for each in times])
            in_turn = [trigger(connection, names[each % len(names)], b"%d!" % each) for each in times]
            show("ours, pipelines in turn", in_turn)


def define(connection: Connection, name: str) -> None:
    """Create a repo and a pipeline that reads it and says when."""
    repos.create_repo(connection, f"in-{name}")
    pipelines.create_pipeline(
        connection,
        {
            "pipeline": {"name": name},
            "input": {"pfs": {"repo": f"in-{name}", "glob": "/*"}},
            "transform": {"image": "debian:12", "cmd": ["sh"], "stdin": ["date +%s%N > /pfs/out/began"]},
        },
    )


def trigger(connection: Connection, name: str, content: bytes) -> float:
    """Put a file; return the milliseconds from its commit to the step."""
    put_file(connection, f"in-{name}@master", [from_bytes("/file", content)])
    head = commits.inspect_commit(connection, f"in-{name}@master")
    commits.wait_commit(connection, f"{name}@{head.commit.id}")
    began = int(get_bytes(connection, f"{name}@{head.commit.id}:/began"))
    return (began - head.finished.ToNanoseconds()) / 1e6


def watched(work: Path, times: int) -> Iterator[float]:
    """Yield the milliseconds from a file being there to a shell that was started for it."""
    if shutil.which("inotifywait") is None:
        print("inotifywait is not installed here, so it is not measured")
        return
    folder, stamps = work / "watched", work / "stamps"
    folder.mkdir()
    script = (
        f"inotifywait -qm -e close_write {folder} | while read _; do sh -c 'date +%s%N' >> {stamps}; done"
    )
    watcher = subprocess.Popen(["sh", "-c", script], start_new_session=True)
    try:
        for number in range(times):
            (folder / str(number)).write_bytes(b"x")
            made = time.time_ns()
            lines: list[str] = []
            while len(lines) <= number:
                with contextlib.suppress(FileNotFoundError):
                    lines = stamps.read_text().splitlines()
            yield (int(lines[number]) - made) / 1e6
    finally:
        watcher.kill()


def show(what: str, found: Sequence[float], *, is_ours: bool = True) -> None:
    """Print the median and how long all but one in a hundred took at most."""
    if not found:
        return
    median = statistics.median(found)
    rare = sorted(found)[math.ceil(0.99 * len(found)) - 1]
    line = f"{what:<28} median {median:7.1f}   99 in 100 within {rare:7.1f}"
    if is_ours:
        is_good = median <= MEDIAN and rare <= LAST_BUT_ONE_IN_100
        line += f"   target <= {MEDIAN:.0f} and {LAST_BUT_ONE_IN_100:.0f}: {verdict(is_good)}"
    print(line, flush=True)


if __name__ == "__main__":
    main()
