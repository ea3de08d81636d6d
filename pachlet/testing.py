"""A server for tests: started on a free port and a folder of its own, stopped at the end of the block.

    with pachlet.testing.server(tmp_path) as running:
        connection = Connection(running.address)

Read next: pachlet/client/connection.py.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pachlet.clock import Clock
from pachlet.config import default_envs
from pachlet.pps.permits import Network
from pachlet.server import Server


@dataclass(frozen=True)
class RunningServer:
    """Where a server listens and where it keeps its data."""

    address: str
    data_dir: Path


@contextlib.contextmanager
def server(
    data_dir: Path,
    *,
    code: Path | None = None,
    workers: int = 2,
    envs: Path | None = None,
    clock: Clock | None = None,
    network: Network = "ask",
    skip: str = "upstream",
    require_images: bool = False,
    runner: str = "auto",
    egress_dir: Path | None = None,
) -> Iterator[RunningServer]:
    """Serve `data_dir` in this process; `code` is the folder that holds `images/` (default: the current one)."""
    running = Server(
        data_dir,
        host="127.0.0.1",
        port=0,
        workers=workers,
        code=code or Path.cwd(),
        envs=envs or default_envs(),
        clock=clock,
        network=network,
        skip=skip,
        require_images=require_images,
        runner=runner,
        egress_dir=egress_dir,
    )
    running.start()
    try:
        yield RunningServer(running.address, data_dir)
    finally:
        running.stop()
