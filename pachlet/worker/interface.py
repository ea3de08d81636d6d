"""Say what a runner promises: resolve an image, prepare it, open a session, run attempts.

The engine decides what runs and when; a runner only knows how. Every runner passes the same suite
(tests/contracts/test_runner*.py), so that the engine never asks which one it has.

Read next: process.py (the runner that needs no container engine), images.py (how an image gets its digest).
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Protocol

Reach = Literal["none", "inner", "host"]
"""What a step can reach.

`none`: a loopback interface of its own and nothing else. `inner`: the same, but the server can connect to the step's
ports, and the step to the server, at SERVER_PORT. `host`: all that this machine can.
"""

SERVER_PORT = 30653
"""Where a step with an `inner` network finds the server, on its own loopback interface."""

Log = Callable[[str], None]
"""Takes one line of the user's output, without its newline; called from the thread that runs the attempt."""


DEFAULT_PROCESSES = 4096
"""How many processes and threads an attempt may have: enough for any step, and a fork bomb ends there."""


@dataclass(frozen=True)
class Limits:
    """What one attempt may use, all its processes together; None is as much as there is."""

    memory: int | None = None
    """Bytes, of the processes and of what they write to folders that lie in memory."""
    cpu: float | None = None
    """Processors."""
    disk: int | None = None
    """Bytes that the attempt has in /pfs/out and /tmp, and in a container elsewhere."""
    processes: int = DEFAULT_PROCESSES


@dataclass(frozen=True)
class Secrets:
    """What the step is given of secrets, and nobody else: never logged, recorded, printed or on disk."""

    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """By absolute path. Only the step can read them, and their folders hold nothing else."""

    @property
    def mark(self) -> int:
        """A number that is the same for the same secrets, in this process only."""
        return hash((tuple(sorted(self.environ.items())), tuple(sorted(self.files.items()))))


NOT_IN_IMAGE = "is not in image"
"""Stands in the reason of an attempt whose command there is none of, between the command and the image."""


@dataclass(frozen=True)
class Transform:
    """What a spec says about the code to run, in the spec's words; an absent field is the default."""

    image: str
    cmd: tuple[str, ...] = ()
    stdin: tuple[str, ...] | None = None
    err_cmd: tuple[str, ...] = ()
    err_stdin: tuple[str, ...] | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    accept_return_code: tuple[int, ...] = ()
    working_dir: str = ""
    user: str = ""
    datum_batching: bool = False
    memory_volume: bool = False
    """Whether /pfs/out and /tmp lie in memory; what is in them then counts as memory."""
    debug: bool = False
    """Whether the log also says of each attempt what it was given and how it ended."""
    limits: Limits = Limits()
    secrets: Secrets = Secrets()


@dataclass(frozen=True)
class Image:
    """An image as it is now. Two images with the same digest run the same code on the same requirements."""

    reference: str
    digest: str
    """`sha256:` and 64 hex digits."""
    kind: Literal["code", "host", "container"]
    """`code`: a folder of images/. `host`: any other name, run on the machine's own programs; `container`: any other
    name, in a container engine."""
    provenance: Mapping[str, Any]
    """JSON-able facts; see images.py for the keys."""
    warning: str = ""
    """A sentence for the user, or nothing."""


@dataclass(frozen=True)
class Prepared:
    """An image that can run on this machine, from its snapshot alone."""

    image: Image
    provenance: Mapping[str, Any]
    """The image's facts and those of the environment it runs in; JSON-able."""
    files: Path
    """The image's own files, laid out as they will be seen from `/`."""
    env: Mapping[str, str]
    """The image's ENV."""
    working_dir: str
    python: Path | None
    """The folder of the base interpreter (its prefix), or None on a host image."""
    environment: Path | None
    """The virtual environment, or None on a host image."""


@dataclass(frozen=True)
class Outcome:
    """What became of one attempt."""

    ok: bool
    reason: str
    """Why it is not ok, as one sentence for users; empty if ok."""
    exit_code: int | None
    """None if the main process did not exit by itself, or (datum batching) is still there."""
    seconds: float
    peak_memory: int | None
    """Bytes at the peak, of all processes together and of what counts against the limit, where known."""
    has_begun: bool = True
    """False if no code of the user's was started at all, so that it could say nothing itself."""


class Session(Protocol):
    """One worker. Attempts run one at a time; `kill` alone may be called from another thread."""

    @property
    def pfs(self) -> Path:
        """What the step sees, read-only, as /pfs; the caller fills `pfs/<input name>` before `run`."""

    @property
    def out(self) -> Path:
        """What the step wrote to /pfs/out (it is `pfs/out`); the caller collects it after `run`.

        Links in it are as the step made them, with paths of the sandbox: see `locate`, and never follow one as a
        path of this machine.
        """

    def locate(self, path: str) -> str | None:
        """Return where a path of the step's is on this machine; None if that can't be told.

        `path` is absolute and as the step sees it; what it writes, and what it is shown, can be found. It may not be
        there, and links in it are not followed: a step may have put them there.
        """

    @property
    def protects_inputs(self) -> bool:
        """Whether a step can't change what lies in `pfs`, so that it may lie there for the next datum, too."""

    def clear(self, *, keep_inputs: bool = False) -> None:
        """Empty `pfs`, `out` and /tmp, between datums, or all but the input files that lie in `pfs`.

        The folders themselves stay: a process may hold them.
        """

    def run(self, environ: Mapping[str, str], log: Log, timeout: float | None = None) -> Outcome:
        """Run the transform's cmd on the datum that lies in `pfs`, once; `timeout` is in seconds.

        A user's failure is an outcome, never an exception. With datum batching the process of the last `run`
        goes on if there is one; it returns when the user code asks for the next datum.
        """

    def run_err_cmd(self, environ: Mapping[str, str], log: Log, timeout: float | None = None) -> Outcome:
        """Run the transform's err_cmd on the same folders. Only call it if there is one."""

    def connect(self, port: int) -> socket.socket:
        """Begin to connect to a port of the attempt in hand; may be called from another thread.

        Only for a session with an `inner` network. The socket does not block, and the connection may not be made
        yet: wait until it can be written to, and look at SO_ERROR.

        Raises:
            ConnectionError: there is no attempt, or nobody listens on that port.
        """

    def kill(self, reason: str = "killed", *, for_good: bool = False) -> None:
        """Stop the attempt in hand, if there is one: its outcome is not ok, for `reason`. Returns at once.

        With `for_good`, later attempts fail for the same reason too, so that a stop that comes between two
        attempts is not lost.
        """

    def close(self) -> None:
        """End what still runs and remove the session's folder. May be called twice."""


class Runner(Protocol):
    """Runs images. Safe to use from many threads."""

    def resolve(self, reference: str) -> Image:
        """Return the image as its files are now: in milliseconds, nothing is made or copied.

        Raises:
            NotFound: the image is `pachlet/NAME` and there is no such folder.
            InvalidArgument: its Dockerfile can't be understood, with file and line.
        """

    def prepare(self, image: Image, snapshot: Path, say: Callable[[str], None]) -> Prepared:
        """Make the image runnable; idempotent, and safe between processes.

        `snapshot` belongs to the caller, who names it by digest: if absent, it is made from the code
        (atomically); if there, the code is not looked at again, so a job that goes on after a restart runs
        what it began with.
        `say` gets a line for each thing that takes time.

        Raises:
            FailedPrecondition: the code changed after `resolve`, or there is no way to run this image here.
            Corrupt: the snapshot is not what its digest says.
            Unavailable: the environment can't be made now (no package index).
        """

    def open(
        self,
        prepared: Prepared,
        transform: Transform,
        folder: Path,
        environ: Mapping[str, str],
        *,
        network: Reach = "none",
        server: str = "",
        shown: Mapping[str, Path] = MappingProxyType({}),
    ) -> Session:
        """Open one worker; `folder` (made if absent) is its scratch, `environ` holds for all its datums.

        With an `inner` network the step reaches `server` (`host:port`). `shown` are more files and folders that it
        sees, read-only, each at the path that is its key.

        Raises:
            FailedPrecondition: without a sandbox there is no `inner` network.
        """

    def way_to_server(self, server: str, network: Reach) -> str:
        """Return the `host:port` where a step with that network reaches the server at `server`."""

    @property
    def description(self) -> str:
        """Which runner this is, in words."""

    def means(self) -> Mapping[str, str]:
        """Say by what means each limit (memory, cpu, processes, disk) is kept here, for people to read."""

    def expect(self, transform: Transform) -> None:
        """Get ready in time for steps that will be run with this transform, where that helps. Returns at once."""

    def halt(self) -> None:
        """End whatever `prepare` is at, for good: it raises Unavailable. Returns at once; `close` comes later."""

    def close(self) -> None:
        """End every session's processes."""
