"""Cut the datums of a job into sets, each of which one worker takes at a time.

A larger set costs less to hand out, and a smaller one leaves less undone when a worker is lost. The spec may say how
large (`datum_set_spec`); otherwise each worker gets about four.

Read next: leases.py (who hands them out).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pachlet.pps.planning import PlannedDatum

SETS_PER_WORKER = 4


def datum_sets(
    datums: Sequence[PlannedDatum], spec: Mapping[str, Any], workers: int
) -> Iterator[list[PlannedDatum]]:
    """Yield the sets; `spec` is a pipeline's `datum_set_spec`, `workers` its parallelism."""
    number, size = int(spec.get("number") or 0), int(spec.get("size_bytes") or 0)
    if not number and not size:
        per_worker = int(spec.get("per_worker") or SETS_PER_WORKER)
        number = max(1, len(datums) // (workers * per_worker))
    found: list[PlannedDatum] = []
    total = 0
    for each in datums:
        found.append(each)
        total += each.datum.size
        if (number and len(found) >= number) or (size and total >= size):
            yield found
            found, total = [], 0
    if found:
        yield found
