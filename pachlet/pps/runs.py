"""What the scheduler starts for a job: a run, of the kind that its pipeline is of.

The scheduler knows when the turn of a job has come and when somebody has ended it; what is done meanwhile is the
affair of the run. It writes what it decides to the database before it goes on, so that after a restart a new run of the
same job finds what is left to do. That the job is over is seen in the database, too, not in the run.

Read next: scheduler.py (who starts runs), running.py (the run of a pipeline that transforms files).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Protocol

from pachlet.pps.jobs import JobRecord


class Kind(StrEnum):
    """What a pipeline is, which says how its jobs are run."""

    TRANSFORM = "transform"
    SERVICE = "service"
    SPOUT = "spout"


class Run(Protocol):
    """Work on one job, in threads of its own."""

    def start(self) -> None:
        """Begin; called once. Whatever goes wrong from here on ends the job with a reason, and is not raised."""

    def is_alive(self) -> bool:
        """Tell whether any of it still goes on; when not, and the job is not over, a new run is started."""

    def cancel(self, reason: str) -> None:
        """Stop soon, and leave the job as it is: somebody has ended it, or the engine stops. Returns at once."""

    def join(self) -> None:
        """Wait until nothing of it goes on any more."""


MakeRun = Callable[[JobRecord], Run]
"""Makes the run of a job whose inputs are finished; it is started right after."""


def kind_of(spec: Mapping[str, Any]) -> Kind:
    """Return the kind of the pipeline with an effective spec; an empty spout is a spout, too."""
    if spec.get("spout") is not None:
        return Kind.SPOUT
    return Kind.SERVICE if spec.get("service") is not None else Kind.TRANSFORM
