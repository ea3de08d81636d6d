"""What the verbs of `make` that run pipelines share: words they are given, and one of them at a time on a folder.

Bad words are refused before anything is started or put, in the words of make: PORT=, RUNNER=, DATA=.

Read next: main_job.py, live.py, scores.py (the verbs).
"""

from __future__ import annotations

import argparse
import fcntl
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pachlet.errors import FailedPrecondition, InvalidArgument, NotFound, Refused, Usage
from pachlet.paths import check_file_path

RUNNERS = ("auto", "process", "container")
NOTICE = "SYNTHETIC.txt"  # lies beside price files that are made up, and goes with them into every output
LOCK = "make.lock"


def add_server(parser: argparse.ArgumentParser, data_dir: str = ".pachlet") -> None:
    """Add the words that say where and how a server works."""
    parser.add_argument(
        "--data-dir", type=Path, default=Path(data_dir), help="where the server keeps its data"
    )
    parser.add_argument(
        "--port",
        type=port_of,
        default=None,
        help="of a server that has to be started (default 30650, or any that is free); 0: any",
    )
    parser.add_argument(
        "--runner", type=runner_of, default="auto", help="how a server that has to be started runs steps"
    )


def port_of(text: str) -> int:
    """Read a port.

    Raises:
        Usage: it is none.
    """
    if text.isascii() and text.isdigit() and int(text) < 65536:
        return int(text)
    raise Usage(
        f"PORT={text} is no port", hint="a number up to 65535, as in PORT=30651; PORT=0 is any that is free"
    )


def runner_of(text: str) -> str:
    """Read the name of a runner.

    Raises:
        Usage: there is none of that name.
    """
    if text in RUNNERS:
        return text
    raise Usage(f"RUNNER={text} is no way to run steps", hint=f"RUNNER is one of {', '.join(RUNNERS)}")


def check_port(port: int) -> None:
    """See whether a server can listen on a port of this machine.

    Raises:
        FailedPrecondition: it is taken, or not for us.
    """
    with socket.socket() as probe:
        probe.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # as servers do: an ended one is no obstacle
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise FailedPrecondition(
                f"no server can listen on port {port}: {error.strerror}",
                hint=f"choose another, as in PORT={port + 1 if port < 65535 else 30651}; PORT=0 is any that is free",
            ) from None


def price_files(data: Path) -> dict[str, Path]:
    """Return the price files of a folder, and the notice beside them, by the paths that they get in repo prices.

    Raises:
        NotFound: there is no such folder, or no price file in it.
        InvalidArgument: some have names that no repo can hold; all of them are named.
    """
    needed = "DATA is a folder of price files (.csv), one a coin"
    if not data.is_dir():
        raise NotFound(f"DATA={data} is no folder", hint=needed)
    found = sorted(each for each in data.glob("*") if each.suffix.lower() == ".csv" and each.is_file())
    if not found:
        raise NotFound(f"there is no .csv file in {data}", hint=needed)
    wanted = {f"/raw/{each.name}": each for each in [*found, *data.glob(NOTICE)]}
    check_names(wanted)
    return wanted


def check_names(wanted: Mapping[str, Path]) -> None:
    """See whether a repo can hold files under their paths.

    Raises:
        InvalidArgument: it can't hold some; each is named with the reason.
    """
    bad = []
    for path, local in wanted.items():
        try:
            check_file_path(path)
        except Refused as error:
            shown = os.fsencode(local).decode(errors="backslashreplace")
            bad.append(f"\n  {shown}: {error.message.rpartition(' invalid: ')[2]}")
    if bad:
        files = "1 file has a name" if len(bad) == 1 else f"{len(bad)} files have names"
        raise InvalidArgument(
            f"{files} that no repo can hold, so nothing was put:{''.join(bad)}",
            hint="rename them, and type it again",
        )


@contextmanager
def at_work(data_dir: Path, verb: str) -> Iterator[None]:
    """Be the only verb of make that works on a data directory while the block lasts; the directory is made if need be.

    Two at once would update each other's pipelines and end each other's jobs.

    Raises:
        FailedPrecondition: another is at work there.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / LOCK).open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            other, _, process = lock.read().strip().rpartition(" ")
            raise FailedPrecondition(
                f"another {other or 'make run'} is at work on {data_dir} (process {process or 'unknown'})",
                hint="wait for it, or choose another DATA_DIR",
            ) from None
        lock.truncate(0)
        lock.write(f"{verb} {os.getpid()}")
        lock.flush()
        yield
