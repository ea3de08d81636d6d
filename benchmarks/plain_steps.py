"""The functions of the first five stages in one process, all coins in one call each; prints seconds as JSON.

What the engine adds (versions, datums, sandboxes, records) is the difference to this, and what it saves (a
second core, a second run) too.

Read next: ../steps/crypto/ingest.py.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path

READS = {
    "ingest": ("prices",),
    "audit": ("ingest",),
    "standardise": ("ingest", "audit"),
    "split": ("standardise",),
    "train_linear": ("standardise", "split", "params"),
}


def main(prices: Path, params: Path) -> dict[str, float]:
    """Run the stages one after the other; return what each took, imports included."""
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="pachlet-plain-") as name:
        work = Path(name)
        shutil.copytree(prices, work / "prices" / "raw")
        (work / "params").symlink_to(params.absolute())
        for stage, inputs in READS.items():
            started = time.monotonic()
            pfs = work / f"pfs-{stage}"
            pfs.mkdir()
            (work / stage).mkdir()
            for each in inputs:
                (pfs / each).symlink_to(work / each)
            import_module(f"steps.crypto.{stage}").run(pfs, work / stage)
            seconds[stage] = round(time.monotonic() - started, 3)
    return seconds


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), Path(sys.argv[2]))))
