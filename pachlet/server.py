"""Put the rooms together and serve: the only module that knows them all.

Read next: pachlet/api/handlers.py, pachlet/pps/scheduler.py, pachlet/config.py.
"""

from __future__ import annotations

import fcntl
import gc
import json
import logging
import os
import resource
import shutil
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from pathlib import Path
from typing import IO

import grpc

from pachlet import __version__
from pachlet.api.admission import THREADS, Admission
from pachlet.api.chunk_door import ChunkDoor
from pachlet.api.debug_service import DebugService
from pachlet.api.handlers import make_handlers
from pachlet.api.lineage_service import LineageService
from pachlet.api.listing_service import ListingService
from pachlet.api.local_service import LocalFilesService
from pachlet.api.metadata_service import MetadataService
from pachlet.api.nonces import Nonces
from pachlet.api.old_clients import OldClients
from pachlet.api.open_transactions import OpenTransactions
from pachlet.api.pfs_service import PfsService
from pachlet.api.planning_service import PlanningService
from pachlet.api.pps_service import PpsService
from pachlet.api.proof_service import ProofService
from pachlet.api.server_log import ServerLog
from pachlet.api.server_service import ServerService
from pachlet.api.small_services import (
    AdminService,
    EnterpriseService,
    HealthService,
    InactiveService,
    LicenseService,
    VersionService,
)
from pachlet.api.storage_fileset_service import StorageFilesetService
from pachlet.api.storage_service import StorageService
from pachlet.api.transaction_service import TransactionService
from pachlet.api.work_service import WorkService
from pachlet.clock import Clock
from pachlet.config import DataDir, default_workers, egress_environ
from pachlet.egress.outgoing import Outlets
from pachlet.ending import Ending
from pachlet.errors import FailedPrecondition, InvalidArgument
from pachlet.ids import new_id
from pachlet.metadb.connect import Database
from pachlet.metadb.mounts import network_file_system
from pachlet.pfs.cache import Cache
from pachlet.pfs.cron_triggers import CronTriggers
from pachlet.pfs.expiring import Expiry
from pachlet.pfs.files import Files
from pachlet.pfs.filesets import FileSets
from pachlet.pfs.finishing import Finisher
from pachlet.pfs.firing import fire_triggers
from pachlet.pfs.index import DatabaseIndex
from pachlet.pfs.propagation import propagate
from pachlet.pfs.purging import Purger, finish_purges, load_tombstones
from pachlet.pfs.repos import ensure_default_project
from pachlet.pfs.restoring import Restored
from pachlet.pfs.restoring import restore as restore_backup
from pachlet.pfs.timer import Timer
from pachlet.pfs.transactions import Transaction, Transactions
from pachlet.pps.alarms import Alarms
from pachlet.pps.desk import Desk
from pachlet.pps.engine import Engine
from pachlet.pps.jobs import create_jobs, end_finished_jobs, remove_jobs
from pachlet.pps.leases import Leases
from pachlet.pps.local_head import LocalHead
from pachlet.pps.logbook import Logbook
from pachlet.pps.losing import Losing
from pachlet.pps.permits import Network
from pachlet.pps.pipelines import refuse_pipeline_repo
from pachlet.pps.pool import Pool
from pachlet.pps.recording import Recorder
from pachlet.pps.recovering import Recovery
from pachlet.pps.running import JobRun
from pachlet.pps.runs import Kind
from pachlet.pps.scheduler import Scheduler
from pachlet.pps.service_run import ServiceRun
from pachlet.pps.services import Services
from pachlet.pps.skipping import Policy
from pachlet.pps.spouts import Spouts
from pachlet.pps.ticking import Ticking
from pachlet.storage.chunks import ChunkStore
from pachlet.worker.capacity import machine_memory
from pachlet.worker.choosing import choose_runner
from pachlet.worker.installing import INSTALLS
from pachlet.worker.interface import Runner

log = logging.getLogger(__name__)

SHOWN = frozenset({INSTALLS})
"""The loggers of what whoever starts a server wants to see of it, though nothing is wrong."""
MESSAGE_LIMIT = 20 * 1024 * 1024
_OPEN_FILES = 16_384
_STEPS = 32  # a step may wait minutes for an environment to be made
_OURS = "pachlet."
"""What the services are called that Pachyderm does not have."""
_DELIVERIES = 8  # jobs that egress at the same time; one more waits for its turn
_OPTIONS = [
    ("grpc.max_receive_message_length", MESSAGE_LIMIT),
    ("grpc.max_send_message_length", MESSAGE_LIMIT),
    ("grpc.so_reuseport", 0),  # otherwise a second server on a port would go unnoticed
    ("grpc.http2.min_ping_interval_without_data_ms", 5000),
    ("grpc.keepalive_permit_without_calls", 1),
]


class Server:
    """A running engine on one data directory."""

    def __init__(
        self,
        data_dir: Path,
        *,
        host: str,
        port: int,
        workers: int | None,
        code: Path,
        envs: Path,
        clock: Clock | None = None,
        network: Network = "ask",
        skip: str = Policy.UPSTREAM,
        require_images: bool = False,
        runner: str | Runner = "auto",
        egress_dir: Path | None = None,
        stock: bool = False,
    ) -> None:
        _refuse_exposure(host)
        if not code.is_dir():
            raise FailedPrecondition(f"{code} is no folder", hint="--code is the folder that holds images/")
        self._paths = DataDir(data_dir.absolute())
        self._lock = _take(self._paths)
        if egress_dir is not None and not egress_dir.is_dir():
            raise FailedPrecondition(
                f"{egress_dir} is no folder", hint="--egress-dir is one that pipelines may write to"
            )
        clock = clock or Clock()
        shutil.rmtree(self._paths.scratch, ignore_errors=True)
        for folder in (self._paths.packs, self._paths.code, self._paths.scratch):
            folder.mkdir(parents=True, exist_ok=True)
            # Other users of this machine shall neither read what is stored nor start a program that a step wrote:
            # with the right bit set it would run as us.
            folder.chmod(0o700)
        # The runner starts a process of its own to make sandboxes with; it does so before gRPC has threads.
        self._runner = (
            choose_runner(
                runner, code.absolute(), envs, owner=str(self._paths.path), require_images=require_images
            )
            if isinstance(runner, str)
            else runner
        )
        self.runner = self._runner.description
        self._database = Database(self._paths.database)
        index = DatabaseIndex(self._database)
        self._store = ChunkStore(
            self._paths.packs, index, last_pack=index.last_pack(), tombstones=load_tombstones(self._database)
        )
        finish_purges(self._database, self._store)
        transactions = Transactions(self._database, clock)
        for hook in (fire_triggers, propagate, remove_jobs, create_jobs, end_finished_jobs):
            transactions.at_end(hook)
        self._finisher = Finisher(self._database, transactions, self._store)
        with transactions.start() as txn:
            _settle_in(txn)
        self._finisher.settle_all()
        files = Files(self._database, self._store)
        self._logbook = Logbook(self._database, clock)
        self._steps = ThreadPoolExecutor(_STEPS, thread_name_prefix="job")
        self._deliveries = ThreadPoolExecutor(_DELIVERIES, thread_name_prefix="egress")
        alarms = Alarms(clock)
        self._engine = engine = Engine(
            database=self._database,
            transactions=transactions,
            files=files,
            clock=clock,
            logbook=self._logbook,
            runner=self._runner,
            snapshots=self._paths.code,
            scratch=self._paths.scratch,
            workers=default_workers() if workers is None else workers,
            network=network,
            leases=Leases(clock, alarms, machine_memory()),
            alarms=alarms,
            steps=self._steps,
            deliveries=self._deliveries,
            outlets=Outlets(egress_environ(), egress_dir and egress_dir.absolute()),
            skip=Policy(skip),
        )
        self._recorder = Recorder(files.store, transactions, engine.leases, self._logbook)
        self.desk = desk = Desk(files, engine.leases, self._recorder, self._logbook)
        Losing(desk, self._steps)
        self._pool = Pool(engine.workers, LocalHead(desk), engine.leases, self._runner, engine.scratch)
        self._services = Services(engine)
        self._scheduler = Scheduler(
            engine,
            {
                Kind.TRANSFORM: lambda job: JobRun(engine, job),
                Kind.SERVICE: lambda job: ServiceRun(engine, self._services, job),
            },
        )
        self._spouts = Spouts(engine, self._services)
        triggers, ticking = CronTriggers(self._database, transactions, clock), Ticking(engine, clock)
        recovery = Recovery(engine, clock)
        self._timer = Timer(self._database.changes, clock, [triggers.look, ticking.look, recovery.look])
        open_transactions = OpenTransactions(self._database, transactions, clock)
        self._log = ServerLog(clock, self._database.changes.announce)
        nonces = Nonces(self._paths.nonces)
        filesets = FileSets(self._database, transactions, files, clock)
        self._expiry = Expiry(filesets, clock)
        self._chunk_door = ChunkDoor(self._store, clock)
        pfs = PfsService(
            self._database,
            transactions,
            files,
            refuse_pipeline_repo,
            open_transactions,
            nonces,
            filesets,
            Cache(self._database, transactions, filesets),
            engine.outlets,
        )
        self.services: dict[str, object] = {
            "pfs_v2.API": pfs,
            "pps_v2.API": PpsService(engine, clock, open_transactions, ticking, self._log),
            "versionpb_v2.API": VersionService(stock=stock),
            "admin_v2.API": AdminService(self._database),
            "auth_v2.API": InactiveService(),
            "identity_v2.API": InactiveService(),
            "license_v2.API": LicenseService(),
            "enterprise_v2.API": EnterpriseService(),
            "transaction_v2.API": TransactionService(self._database, open_transactions),
            "metadata.API": MetadataService(transactions),
            "debug_v2.Debug": DebugService(self._database),
            "storage.Fileset": StorageFilesetService(files, filesets, self._chunk_door),
            "pachlet.v1.Datums": PlanningService(engine),
            "pachlet.v1.Lineage": LineageService(self._database, files),
            "pachlet.v1.Listing": ListingService(pfs),
            "pachlet.v1.Proofs": ProofService(engine),
            "pachlet.v1.Server": ServerService(self._runner, engine.workers),
            "pachlet.v1.LocalFiles": LocalFilesService(nonces),
            "pachlet.v1.Work": WorkService(desk, self._paths.code),
            "grpc.health.v1.Health": HealthService(),
            "pachlet.v1.Storage": StorageService(
                self._paths,
                self._database,
                self._store,
                Purger(self._database, files, clock, self._pool.renew_sessions),
            ),
        }
        if stock:
            self.services = {name: each for name, each in self.services.items() if not name.startswith(_OURS)}
        self._grpc = grpc.server(ThreadPoolExecutor(THREADS, thread_name_prefix="rpc"), options=_OPTIONS)
        admission = Admission()
        self._database.changes.before_waiting = admission.begin_to_wait
        self._grpc.add_generic_rpc_handlers([*make_handlers(self.services, admission), OldClients()])
        if ":" in host and not host.startswith("["):
            host = f"[{host}]"
        try:
            bound = self._grpc.add_insecure_port(f"{host}:{port}")
        except RuntimeError:
            bound = 0
        if not bound:
            self._close_rooms()
            raise FailedPrecondition(
                f"port {port} of {host} is in use",
                hint="another server may be running (`pachlet stop`); or choose another with --port, 0 is any",
            )
        self.address = engine.whereabouts.address = f"{host}:{bound}"
        # A name may stand for several addresses, so nobody can be sure who listens there.
        nonces.address = "" if host == "localhost" else self.address

    def start(self) -> None:
        """Answer calls and run jobs."""
        self._grpc.start()
        self._recorder.start()
        self._pool.start()
        self._scheduler.start()
        self._spouts.start()
        self._timer.start()
        self._expiry.start()
        with self._database.read() as db:
            id = db.value("get_setting", key="deployment_id")
        noted = {"address": self.address, "pid": os.getpid(), "deployment_id": id}
        self._paths.server.write_text(json.dumps(noted) + "\n")
        log.info("pachlet %s serves %s at %s", __version__, self._paths.path, self.address)

    def stop(self) -> None:
        """Stop answering, stop the workers, close everything; unfinished jobs go on at the next start."""
        self._database.changes.close()
        self._runner.halt()
        self._grpc.stop(grace=1.0).wait()
        self._timer.close()
        self._expiry.close()
        self._chunk_door.close()
        self._scheduler.close()
        self._spouts.close()
        self._services.close()
        self._pool.close()
        self._engine.alarms.close()
        self._recorder.close()
        self._steps.shutdown()
        self._deliveries.shutdown()
        self._paths.server.unlink(missing_ok=True)
        self._close_rooms()

    def _close_rooms(self) -> None:
        self._log.close()
        self._finisher.close()
        self._runner.close()
        self._logbook.close()
        self._store.close()
        self._database.close()
        self._lock.close()


def _refuse_exposure(host: str) -> None:
    """Let nobody listen where other machines can call: whoever reaches the port may read and run anything."""
    try:
        found = {each[4][0] for each in socket.getaddrinfo(host.strip("[]"), None)}
    except (OSError, UnicodeError):
        raise InvalidArgument(f"{host!r} is no address of this machine", hint="use 127.0.0.1") from None
    if open_to_others := sorted(str(each) for each in found if not ip_address(each).is_loopback):
        raise InvalidArgument(
            f"pachlet listens on this machine only, and {host} ({', '.join(open_to_others)}) can be reached from"
            " others: there is no encryption and no login yet",
            hint="use --host 127.0.0.1, and `ssh -L 30650:127.0.0.1:30650 HOST` to call from elsewhere",
        )


def _take(paths: DataDir) -> IO[str]:
    """Lock the data directory for this process; the lock goes with the process, however it ends."""
    try:
        _refuse_networks(paths)
        _refuse_other_folders(paths)
        paths.path.mkdir(parents=True, exist_ok=True)
        lock = paths.lock.open("a")
    except OSError as error:
        # A file in the way is told by mkdir as "File exists", which sounds as if a folder were wanted that is new.
        why = "it is no folder" if isinstance(error, FileExistsError) else error.strerror
        raise FailedPrecondition(
            f"the data directory {paths.path} can't be used: {why}",
            hint="choose another --data-dir",
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        try:
            who = json.loads(paths.server.read_text())
            running = f" (process {who['pid']}, at {who['address']})"
        except (OSError, ValueError, KeyError):
            running = ""
        raise FailedPrecondition(
            f"another server is running on {paths.path}{running}",
            hint="use that one, stop it with `pachlet stop`, or choose another --data-dir",
        ) from None
    except OSError as error:
        lock.close()
        raise FailedPrecondition(
            f"{paths.lock} can't be locked ({error.strerror}), so a second server could destroy what this one writes",
            hint="choose a --data-dir on a disk of this machine",
        ) from None
    paths.server.unlink(missing_ok=True)  # what a server that was killed left says nothing any more
    return lock


def _refuse_networks(paths: DataDir) -> None:
    """Serve from no file system that another machine may write to, where a second server could go unnoticed."""
    if kind := network_file_system(paths.path):
        raise FailedPrecondition(
            f"the data directory {paths.path} is on a network file system ({kind}), where another machine could destroy"
            " what this one writes",
            hint="choose a --data-dir on a disk of this machine; `pachlet backup` may write to the network",
        )


def _refuse_other_folders(paths: DataDir) -> None:
    """Touch no backup, no packs without their database (a new one would take them for garbage), no folder of others."""
    if paths.label.exists() and not paths.lock.exists():
        raise FailedPrecondition(
            f"{paths.path} is a backup, which would be none any more",
            hint=f"`pachlet restore {paths.path} --data-dir NEW` makes a data directory of it",
        )
    is_lost = not paths.database.exists() or paths.database.stat().st_size == 0
    if is_lost and any(paths.packs.glob("*.pack")):
        raise FailedPrecondition(
            f"{paths.packs} holds files, and the database that says which, {paths.database.name}, is gone",
            hint="restore the data directory from a backup, or choose another --data-dir",
        )
    # Somebody's project may have a folder scratch/ or code/, too; a server empties the one and closes both to others.
    for folder in (paths.scratch, paths.code, paths.nonces):
        if is_lost and folder.is_dir() and any(folder.iterdir()):
            raise FailedPrecondition(
                f"{paths.path} is no data directory (it has no {paths.database.name}), and {folder.name}/ in it holds"
                " files, which a server would take for its own",
                hint="choose another --data-dir, best a new folder",
            )


def _settle_in(txn: Transaction) -> None:
    """Make what every data directory has: ids that clients remember it by, and the default project."""
    ensure_default_project(txn)
    for key in ("deployment_id", "cluster_id"):
        if txn.db.value("get_setting", key=key) is None:
            txn.db.run("put_setting", key=key, value=new_id())


def serve(
    data_dir: Path,
    host: str,
    port: int,
    workers: int | None,
    code: Path,
    envs: Path,
    skip: str,
    ready: Callable[[str, str], None],
    network: Network = "ask",
    require_images: bool = False,
    runner: str | Runner = "auto",
    egress_dir: Path | None = None,
    stock: bool = False,
) -> None:
    """Serve until SIGTERM or SIGINT; `ready` gets the address, and how steps run, once calls are answered.

    `runner` is a kind of choosing.py, or a runner of the caller's own.
    """
    _open_more_files()
    ending = Ending()
    server = Server(
        data_dir,
        host=host,
        port=port,
        workers=workers,
        code=code,
        envs=envs,
        network=network,
        require_images=require_images,
        skip=skip,
        runner=runner,
        egress_dir=egress_dir,
        stock=stock,
    )
    server.start()
    _look_for_cycles_less()
    ready(server.address, server.runner)
    ending.wait()
    server.stop()


def _open_more_files() -> None:
    """Take as many descriptors as this user may have, where the shell gives few (1024, or 256).

    Not without end: programs that go through all that they might have open take minutes for a billion.
    """
    few, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = _OPEN_FILES if most == resource.RLIM_INFINITY else min(most, _OPEN_FILES)
    if few != resource.RLIM_INFINITY and few < enough:
        resource.setrlimit(resource.RLIMIT_NOFILE, (enough, most))


def _look_for_cycles_less() -> None:
    """Have Python look for cycles of garbage a few times in a large put rather than thousands of times.

    Measured on 100,000 files: a quarter of the time that a put took, because nearly nothing that it makes is garbage.
    """
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def restore(source: Path, data_dir: Path, report: Callable[[str, int, int], None]) -> Restored:
    """Make a data directory of a backup and check it; return how much came back and what is damaged."""
    return restore_backup(source.absolute(), data_dir.absolute(), report)
