"""Say what a worker asks of its server, and what the two promise each other.

A worker takes a *lease*: a few datums of one job, for it alone and for a while. It runs them with a session of its
runner, one after the other, and *settles* each: tells how the datum ended and hands over what it wrote. The server
promises that a settled datum is recorded once and whole. The worker promises to say in time that it is still there;
when it falls silent, its lease is void, and what it had not settled goes to another.

A `Head` is the server as a worker sees it. One lies in the server's own process, next to the store
(../pps/local_head.py); another is at the far end of a connection (../remote/head.py). The worker can't tell them
apart, and both pass the same suite (tests/contracts/test_head.py).

Read next: working.py (the worker), ../pps/leases.py (the server's side).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from pachlet.errors import FailedPrecondition
from pachlet.worker.interface import Image, Prepared, Reach, Transform


class NoMoreWork(Exception):
    """The head closes, or the server does: who asks for work may go."""


class LeaseLost(FailedPrecondition):
    """The lease is void: its time is over, or its job has ended; whatever is told under it is refused."""


@dataclass(frozen=True)
class Work:
    """What is the same for all datums of a job."""

    job: str
    """The job's id."""
    project: str
    pipeline: str
    version: int
    image: Image
    transform: Transform
    environ: Mapping[str, str]
    """Holds for all that a worker runs for the pipeline, the worker's name left out."""
    tries: int
    timeout: float | None
    """Seconds that one attempt may take."""
    stays_warm: bool = True
    """Whether a session is worth keeping while there is nothing to do; not so for a pipeline that scales to zero."""
    network: Reach = "none"
    apart: str = ""
    """Tells sessions apart that would serve each other otherwise."""

    @property
    def key(self) -> Hashable:
        """What a session serves: it may go on with other jobs of the same key."""
        # A pipeline that is deleted and created again has the same name and version: its variables have the commit of
        # its spec. A secret may be made again meanwhile, and whether the network may be reached is in the version.
        spec, mark = tuple(sorted(self.environ.items())), self.transform.secrets.mark
        return self.project, self.pipeline, self.version, spec, self.image.digest, mark, self.apart


def worker_name(work: Work, number: int) -> str:
    """Return what a step and the log call a worker of a pipeline."""
    return f"pipeline-{work.pipeline}-v{work.version}-{number}"


@dataclass(frozen=True)
class Task:
    """A datum of a lease: its id, and the variables that tell the step what it works on."""

    id: str
    environ: Mapping[str, str]


@dataclass(frozen=True)
class Lease:
    """A datum set in a worker's hands."""

    token: str
    work: Work
    tasks: Sequence[Task]
    seconds: float | None
    """How long it lives unless it is renewed; None if it needs no renewing, as the worker dies with its server."""
    packed: Packed | None = None
    """What its datums read, for whoever can't ask for it; the lease has no others then."""


@dataclass(frozen=True)
class InputFile:
    """A file that a step is to see."""

    path: str
    """Below /pfs, without a slash at its beginning."""
    key: bytes
    """Equal keys mean equal bytes."""
    size: int
    is_lazy: bool = False
    """Whether the step sees a named pipe, and the bytes are asked for once it is opened."""


Output = str | InputFile
"""Where on this machine the bytes of a file are that a step wrote, or the input that it linked to."""


@dataclass(frozen=True)
class Result:
    """How a datum ended."""

    state: str
    """success, failed or recovered."""
    reason: str
    """Why it did not succeed, as a sentence; empty if it did."""
    tries: int
    provenance: Mapping[str, Any]
    """What it ran on: the facts of the prepared image; JSON-able."""
    seconds: Mapping[str, float]
    """Of download, process and upload, all attempts together."""
    download_bytes: int
    peak_memory: int | None
    has_begun: bool = True
    """False if no code of the user's could be started in the last try, as the image or the spec is."""


class Hold(Protocol):
    """A worker's hand on a lease, for the server to reach; called from any thread, each returns at once."""

    def cancel(self, reason: str) -> None:
        """Stop working on the lease: it is void."""

    def restart(self, datum: str, reason: str) -> None:
        """Begin anew with a datum, if it is the one in hand; the attempt does not count."""


class AttemptLines(Protocol):
    """Takes what the user's code prints in one attempt."""

    def add(self, line: str) -> None:
        """Take one line."""


class DatumHead(Protocol):
    """What a datum that is run asks of its server. Safe to use from many threads."""

    def inputs(self, lease: Lease, task: Task) -> list[InputFile]:
        """Return the files of a datum, which is begun by that; no path twice. Raises LeaseLost."""

    def read(
        self, lease: Lease, task: Task, files: Sequence[InputFile]
    ) -> Iterator[tuple[InputFile, Iterator[bytes]]]:
        """Yield some of these files with their bytes, in the order asked for. Raises LeaseLost."""

    def settle(self, lease: Lease, task: Task, result: Result, outputs: Iterable[tuple[str, Output]]) -> None:
        """Tell how a datum ended, with the files that it wrote, by path; they may be gone once this returns.

        A file that is an input stands for the input as it is in its repo, whatever the step was shown of it.

        It is recorded as a whole, or not at all. Twice is once: the second time is refused.

        Raises:
            LeaseLost: the lease is void; the datum is, or was, another's to run.
            Refused: a file can't be read any more, or is none now.
        """

    def should_yield(self, lease: Lease) -> bool:
        """Tell whether others wait, so that the rest of the lease is better given back before the next datum."""

    def attempt(self, lease: Lease, task: Task, worker: str) -> AbstractContextManager[AttemptLines]:
        """Log what an attempt at a datum prints while the block runs."""

    def say(self, lease: Lease, task: Task, worker: str, line: str) -> None:
        """Log a line about the work on a datum."""


class Head(DatumHead, Protocol):
    """The server of a worker."""

    def take(self, worker: str, seconds: float) -> Lease | None:
        """Wait for a lease; None if there was nothing to do for so long.

        Raises:
            NoMoreWork: there will be none any more.
        """

    def hold(self, lease: Lease, hold: Hold) -> None:
        """Say whom to tell when the lease is void or a datum is to be begun anew; at once, if it is void already."""

    def prepare(self, lease: Lease, say: Callable[[str], None]) -> Prepared:
        """Make the lease's image runnable on the worker's machine."""

    def give_back(self, lease: Lease, problem: Exception | None = None) -> None:
        """End a lease; what is not settled goes to another worker. With a `problem` there is no use in that."""


@dataclass(frozen=True)
class Packed:
    """All that the next datums of a lease read."""

    files: Mapping[str, Sequence[InputFile]]
    """Of each datum, by its id."""
    contents: Mapping[bytes, bytes]
    """What the files hold, by their keys."""


class NearHead(Head, Protocol):
    """A head beside the store, which does for a process of this machine what that can't do by itself.

    Such a process tells what happened a little later, so that its words come many at a time: `ago` are seconds.
    """

    def pack(self, lease: Lease) -> Packed | None:
        """Return what the next datums of a lease read, up to the first that reads much, or something before its time.

        None if no process of its own is to have any.
        """

    def begin(self, lease: Lease, task: Task, ago: float) -> None:
        """Note that a datum was begun. Raises LeaseLost."""

    def record(
        self,
        lease: Lease,
        task: Task,
        result: Result,
        contents: Sequence[tuple[str, bytes]],
        seconds: float,
        ago: float,
    ) -> None:
        """Settle a datum that wrote these files, by path; `seconds` is what it took to read them. Raises LeaseLost."""

    def lose(self, lease: Lease) -> None:
        """Note that the process is gone that worked on the lease; no other is given any of the same job."""
