"""Begin anew with datums of a job that are in a worker's hands.

Read next: leases.py.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence

from pachlet.errors import Refused
from pachlet.pps.datum import Datum
from pachlet.pps.jobs import JobRecord
from pachlet.pps.leases import Leases


def restart_datum(leases: Leases, job: JobRecord, filters: Sequence[str]) -> None:
    """Have the running datums of a job that match every filter begun anew; none is every one.

    A filter is the path of a file of the datum, or the file's hash in hex or base64. The attempt that is broken off
    does not count as one.

    Raises:
        Refused: no such datum is running.
    """
    if not leases.restart(job.key, lambda planned: matches(planned.datum, filters)):
        shown = " ".join(filters)
        raise Refused(
            f"datum matching filter [{shown}] could not be found for job ID {job.id}",
            hint="only a datum that is running can be begun anew",
        )


def matches(datum: Datum, filters: Sequence[str]) -> bool:
    """Tell whether each filter is the path or the hash of a file of a datum."""
    known = set()
    for file in datum.files:
        known |= {file.path, file.path.rstrip("/"), file.hash.hex(), base64.b64encode(file.hash).decode()}
    return known.issuperset(filters)
