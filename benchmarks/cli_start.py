"""How long short commands take, beside the interpreter's own start.

    python -m benchmarks.cli_start

Verbs that need no server are to take less than 150 ms, the others less than 400 ms against a server on the
same machine. A machine may be busy, so each command is run many times in turn with `python -c pass`: the
fastest run is what the command costs, the median is what a user meets now, and the ratio holds on any machine.

Read next: pachlet/cli/main.py, which says why nothing is imported before it is needed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.comparing import verdict
from pachlet import testing

PACHCTL = [str(Path(sys.executable).with_name("pachctl"))]
PYTHON = [sys.executable, "-c", "pass"]
ALONE = (("version", "--client-only"), ("config", "get", "active-context"), ("create", "repo", "--help"))
AT_A_SERVER = (("list", "repo"), ("inspect", "cluster"), ("list", "file", "images@master"))
LIMITS = {ALONE: 150, AT_A_SERVER: 400}


def main() -> int:
    """Run the benchmark and print what it found; return the exit status."""
    parser = argparse.ArgumentParser(description="Time the start of short commands.")
    parser.add_argument("--runs", type=int, default=20, help="runs of each command (default 20)")
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as name, testing.server(Path(name, "data"), code=Path(name)) as server:
        environ = {
            **os.environ,
            "PACHD_ADDRESS": server.address,
            "PACH_CONFIG": str(Path(name, "config.json")),
        }
        subprocess.run([*PACHCTL, "create", "repo", "images"], env=environ, check=True)
        subprocess.run([*PACHCTL, "put", "file", "images@master:/a"], env=environ, input=b"1", check=True)
        commands = [PYTHON, *([*PACHCTL, *words] for family in LIMITS for words in family)]
        found = measure(commands, environ, runs)
    (plain, *_), rest = found[0], iter(found[1:])
    print(f"{'':<34} {'fastest':>9} {'median':>9} {'ratio':>7}")
    print(f"{'python -c pass':<34} {_ms(plain)} {_ms(found[0][1])} {1:>7.1f}")
    for family, limit in LIMITS.items():
        for words in family:
            fastest, median = next(rest)
            ratio = fastest / plain
            print(
                f"{'pachctl ' + ' '.join(words):<34} {_ms(fastest)} {_ms(median)} {ratio:>7.1f}   target < {limit} ms: "
                f"{verdict(median * 1000 < limit)}"
            )
    return 0


def measure(
    commands: Sequence[Sequence[str]], environ: dict[str, str], runs: int
) -> list[tuple[float, float]]:
    """Run all commands in turn, `runs` times; return the fastest and the median seconds of each."""
    times: list[list[float]] = [[] for _ in commands]
    for _ in range(runs):
        for command, seconds in zip(commands, times, strict=True):
            began = time.perf_counter()
            subprocess.run(command, env=environ, check=True, stdout=subprocess.DEVNULL)
            seconds.append(time.perf_counter() - began)
    return [(min(seconds), statistics.median(seconds)) for seconds in times]


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:>6.0f} ms"


if __name__ == "__main__":
    sys.exit(main())
