"""A server for tests: started on a free port and a folder of its own, stopped at the end of the block.

    with pachlet.testing.server(tmp_path) as running:
        connection = Connection(running.address)

Read next: pachlet/client/connection.py.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pachlet.clock import Clock
from pachlet.config import default_envs
from pachlet.pps.permits import Network
from pachlet.server import Server
from pachlet.worker.process import ProcessRunner


@dataclass(frozen=True)
class RunningServer:
    """Where a server listens and where it keeps its data."""

    address: str
    data_dir: Path


@contextlib.contextmanager
def server(
    data_dir: Path,
    *,
    host: str = "127.0.0.1",
    code: Path | None = None,
    workers: int = 2,
    envs: Path | None = None,
    clock: Clock | None = None,
    network: Network = "ask",
    skip: str = "upstream",
    require_images: bool = False,
    runner: str = "auto",
    egress_dir: Path | None = None,
    stock: bool = False,
) -> Iterator[RunningServer]:
    """Serve `data_dir` in this process; `code` is the folder that holds `images/` (default: the current one).

    `stock`: without what Pachyderm does not have.
    """
    code, envs = (code or Path.cwd()).absolute(), envs or default_envs()
    running = Server(
        data_dir,
        host=host,
        port=0,
        workers=workers,
        code=code,
        envs=envs,
        clock=clock,
        network=network,
        skip=skip,
        require_images=require_images,
        runner=ProcessRunner(code, envs, require_images=require_images, is_probed=True)
        if runner == "auto" and _allows_sandboxes(envs)
        else runner,
        egress_dir=egress_dir,
        stock=stock,
    )
    running.start()
    try:
        yield RunningServer(running.address, data_dir)
    finally:
        running.stop()


@functools.cache
def _allows_sandboxes(envs: Path) -> bool:
    """Tell whether a server would run steps as sandboxed processes; it takes a process, and most tests run no step."""
    runner = ProcessRunner(Path.cwd(), envs)
    try:
        return not runner.probe()
    finally:
        runner.close()
