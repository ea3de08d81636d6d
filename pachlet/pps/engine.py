"""What the parts of PPS share: the store, the runner, the log and where things lie.

Read next: running.py.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path

from pachlet.clock import Clock
from pachlet.egress.outgoing import Outlets
from pachlet.metadb.connect import Database
from pachlet.pfs.files import Files
from pachlet.pfs.transactions import Transactions
from pachlet.pps.alarms import Alarms
from pachlet.pps.leases import Leases
from pachlet.pps.logbook import Logbook
from pachlet.pps.permits import Network
from pachlet.pps.pipelines import PipelineRecord
from pachlet.pps.skipping import Policy
from pachlet.worker.interface import Runner


@dataclass
class Whereabouts:
    """Where the server listens, which is known only once it does."""

    address: str = ""


@dataclass(frozen=True)
class Engine:
    """The engine's parts, made by server.py."""

    database: Database
    transactions: Transactions
    files: Files
    logbook: Logbook
    clock: Clock
    runner: Runner
    snapshots: Path
    """Where the code of jobs is kept, in folders named by digest."""
    scratch: Path
    """Where workers lay out datums; emptied at start."""
    workers: int
    """How many datums may run at the same time."""
    leases: Leases
    """Who runs which datum."""
    alarms: Alarms
    steps: Executor
    """Threads for the steps of runs, each of which may wait for the disk or for an environment to be made."""
    deliveries: Executor
    """Threads for egress, each of which may take hours."""
    outlets: Outlets = field(default_factory=Outlets)
    """What egress may use."""
    network: Network = "ask"
    """Whose steps reach the network; see permits.py."""
    skip: Policy = Policy.UPSTREAM
    """When a datum need not run again, where a spec does not say."""
    whereabouts: Whereabouts = field(default_factory=Whereabouts)

    def worker_environ(self, pipeline: PipelineRecord) -> dict[str, str]:
        """Return the variables that hold for everything that workers run for a pipeline; each adds its name."""
        return worker_environ(pipeline.project, pipeline.name, pipeline.spec_commit)


def worker_environ(project: str, pipeline: str, spec_commit: str) -> dict[str, str]:
    """Return the variables that hold for everything that is run for a version of a pipeline."""
    return {
        "PACH_ROOT": "/pach",
        "PACH_NAMESPACE": "default",
        "PACH_IN_WORKER": "true",
        "PPS_PIPELINE_NAME": pipeline,
        "PPS_PROJECT_NAME": project,
        "PPS_SPEC_COMMIT": spec_commit,
        "PPS_WORKER_IP": "127.0.0.1",
        "PPS_ETCD_PREFIX": "pachyderm_pps",
        "PEER_PORT": "1653",
    }
