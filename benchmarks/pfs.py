"""All that is measured of PFS, one after the other, and at the end the verdicts: a line for each target.

    python -m benchmarks.pfs

The status is 1 when a benchmark broke off, not when a target was missed: that may be due to what else the machine does.

Read next: put_get.py, small_files.py, growth.py, upkeep.py, cli_start.py.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

from benchmarks.comparing import is_verdict
from benchmarks.serving import ROOT

PARTS = ("put_get", "small_files", "growth", "upkeep", "cli_start")


def main() -> int:
    """Run all and return the exit status."""
    found: list[tuple[str, str]] = []
    broken = []
    for part in PARTS:
        print(f"\n== {part}", flush=True)
        with subprocess.Popen(
            [sys.executable, "-u", "-m", f"benchmarks.{part}"], cwd=ROOT, stdout=subprocess.PIPE, text=True
        ) as process:
            found += [(part, line) for line in _shown(process) if is_verdict(line)]
        if process.returncode:
            broken.append(part)
    print("\n== the targets")
    for part, line in found:
        print(f"{part:<12} {' '.join(line.split())}")
    for part in broken:
        print(f"{part} broke off; its targets are not all judged")
    return 1 if broken else 0


def _shown(process: subprocess.Popen[str]) -> Iterator[str]:
    """Print what a process says while it says it; yield its lines."""
    for line in process.stdout or ():
        print(line, end="", flush=True)
        yield line


if __name__ == "__main__":
    sys.exit(main())
