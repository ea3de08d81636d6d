"""Start programs as on a machine with one processor: a server among them runs one datum at a time.

Two workers import what steps need twice, and TensorFlow takes seconds. That costs a test of the whole crypto company
a third of its processor time, which the suite's other workers want, and a second worker proves nothing about what is
printed. Datums side by side are tested in acceptance/test_whole_company.py and test_company_requirements.py.

Read next: docs/console.py, acceptance/clone.py (who start programs so).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_processor() -> Iterator[None]:
    """Let what this thread starts have one processor; each worker of a test run has another one to give."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    ours = os.sched_getaffinity(0)
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    os.sched_setaffinity(0, {sorted(ours)[worker % len(ours)]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, ours)
