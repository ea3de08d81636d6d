"""A server whose steps take no time: what is left is what the engine itself does for a datum, a job, a listing.

    python -m benchmarks.instant_steps --data-dir DIR --address-file FILE

A step writes one small file, /pfs/out/<id of the datum>, as a process would have, but there is no process: everything
around it, from the plan to what is recorded, is the server's as it is.

Read next: listing_pps.py and many_pipelines.py (who starts it), pachlet/worker/interface.py (what a runner promises).
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from benchmarks.serving import ROOT, Serving, started
from pachlet.config import default_envs
from pachlet.pps.skipping import Policy
from pachlet.server import serve
from pachlet.worker.interface import Image, Log, Outcome, Prepared, Reach, Session, Transform
from pachlet.worker.scratch import empty, remove


class InstantSession:
    """A worker that writes what its step would have written (interface.py has the promises)."""

    protects_inputs = True

    def __init__(self, folder: Path) -> None:
        self.pfs = folder / "pfs"
        self.out = self.pfs / "out"
        self._folder = folder
        self.out.mkdir(parents=True)

    def locate(self, path: str) -> Path | None:
        return Path(f"{self.pfs}{path.removeprefix('/pfs')}") if path.startswith("/pfs/") else None

    def clear(self, *, keep_inputs: bool = False) -> None:
        if not keep_inputs:
            empty(self.pfs, keep="out")
        empty(self.out)

    def run(self, environ: Mapping[str, str], log: Log, timeout: float | None = None) -> Outcome:
        datum = environ["PACH_DATUM_ID"]
        (self.out / datum).write_text(datum)
        return Outcome(ok=True, reason="", exit_code=0, seconds=0.0, peak_memory=None)

    run_err_cmd = run

    def connect(self, port: int) -> socket.socket:
        raise ConnectionError("nobody listens")

    def kill(self, reason: str = "killed", *, for_good: bool = False) -> None:
        pass

    def close(self) -> None:
        remove(self._folder)


class InstantRunner:
    """Takes every image for one that is there (interface.py has the promises)."""

    description = "instant (steps take no time)"

    def resolve(self, reference: str) -> Image:
        digest = f"sha256:{hashlib.sha256(reference.encode()).hexdigest()}"
        return Image(reference, digest, "host", provenance={})

    def prepare(self, image: Image, snapshot: Path, say: Callable[[str], None]) -> Prepared:
        return Prepared(image, {}, snapshot, {}, working_dir="/", python=None, environment=None)

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
        return InstantSession(folder)

    def means(self) -> Mapping[str, str]:
        return {}

    def way_to_server(self, server: str, network: Reach) -> str:
        return server

    def halt(self) -> None:
        pass

    def close(self) -> None:
        pass


@contextlib.contextmanager
def serving_instantly(data_dir: Path) -> Iterator[Serving]:
    """Serve a data directory, empty or not, during the block, in a process of its own."""
    data_dir.mkdir(parents=True, exist_ok=True)
    told = data_dir / "address"
    told.unlink(missing_ok=True)
    words = [sys.executable, "-m", __name__, "--data-dir", str(data_dir), "--address-file", str(told)]
    with started(words, told) as (address, process):
        yield Serving(address, process, data_dir)


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description="Serve with steps that take no time.")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--address-file", type=Path, required=True)
    arguments = parser.parse_args()
    serve(
        data_dir=arguments.data_dir.absolute(),
        host="127.0.0.1",
        port=0,
        workers=None,
        code=ROOT,
        envs=default_envs(),
        skip=Policy.UPSTREAM,
        ready=lambda address, runner: _tell(arguments.address_file, address),
        runner=InstantRunner(),
    )


def _tell(path: Path, address: str) -> None:
    path.write_text(f"{address}\n")


if __name__ == "__main__":
    main()
