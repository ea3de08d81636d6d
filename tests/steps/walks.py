"""What a model says of a coin day after day, asked of a process that has the libraries of an image.

Networks are trained by TensorFlow, which is in an image's environment and not in ours. So a process of that environment
answers requests: a line of JSON each, in and out.

Read next: test_every_family.py, ../../steps/crypto/walkforward.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from steps.crypto import split
from steps.crypto.families import FAMILIES
from steps.crypto.series import Array, Series
from steps.crypto.walkforward import out_of_sample

ROOT = Path(__file__).parents[2]
START = date(2016, 1, 1)

Walk = dict[int, list[float]]
"""The log moves from each origin, by its row."""


def walk(family: str, params: Mapping[str, Any], series: Series) -> Walk:
    """Let a family forecast a coin on days that it had not seen."""
    folds = split.folds([date.fromisoformat(day) for day in series.dates])
    rows = out_of_sample(series, folds, params, FAMILIES[family])
    return dict(zip(rows.origins.tolist(), rows.forecast.tolist(), strict=True))


def series_of(columns: Mapping[str, Sequence[float]]) -> Series:
    """A series from its columns `log_close`, `ret` and `vol`, every day quoted."""
    arrays: dict[str, Array] = {name: np.array(values, dtype=float) for name, values in columns.items()}
    count = len(arrays["log_close"])
    return Series(
        slug="coin",
        dates=tuple((START + timedelta(days=day)).isoformat() for day in range(count)),
        observed=np.ones(count, dtype=bool),
        volume=np.full(count, np.nan),
        sha256="",
        **arrays,
    )


class Elsewhere:
    """A process that walks with the libraries of an image."""

    def __init__(self, python: Path) -> None:
        self._process = subprocess.Popen(
            [python, "-m", "tests.steps.walks"],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def walk(self, family: str, params: Mapping[str, Any], series: Series) -> Walk:
        """The log moves that a family says from each origin, by its row."""
        columns = {name: getattr(series, name).tolist() for name in ("log_close", "ret", "vol")}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = json.dumps({"family": family, "params": dict(params), "columns": columns})
        self._process.stdin.write(request + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the process ended; what it said is on standard error"
        return {int(origin): moves for origin, moves in json.loads(answer).items()}

    def end(self) -> None:
        """Let it end: there are no more requests."""
        self._process.communicate()


@contextmanager
def elsewhere(python: Path) -> Iterator[Elsewhere]:
    """Run such a process during the block."""
    process = Elsewhere(python)
    try:
        yield process
    finally:
        process.end()


def main() -> None:
    """Answer the requests of standard input."""
    for line in sys.stdin:
        request = json.loads(line)
        with redirect_stdout(sys.stderr):  # what a step tells its log is no answer
            found = walk(request["family"], request["params"], series_of(request["columns"]))
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
