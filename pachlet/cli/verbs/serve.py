"""serve: run the server in the foreground until it is told to stop.

The only verb that knows the engine; everything else speaks to a server, ours or another.

Read next: pachlet/server.py, stop.py.
"""

from __future__ import annotations

import logging
import os
import tempfile
from argparse import ArgumentParser, Namespace
from pathlib import Path

from pachlet.cli import flags
from pachlet.cli.session import Session
from pachlet.config import DEFAULT_DATA_DIR, DEFAULT_HOST, DEFAULT_PORT, default_envs
from pachlet.errors import PachletError, Usage


def serve_arguments(parser: ArgumentParser) -> None:
    add_data_dir(parser)
    parser.add_argument(
        "--host", default=DEFAULT_HOST, help="the address to listen on (default: this machine only)"
    )
    parser.add_argument(
        "--port", type=flags.whole, default=DEFAULT_PORT, help=f"the port (default {DEFAULT_PORT}; 0: any)"
    )
    parser.add_argument(
        "--workers",
        type=flags.workers,
        default=None,
        metavar="N",
        help="datums at a time (default: by cores; 0: none)",
    )
    parser.add_argument(
        "--code", type=Path, default=Path(), metavar="DIR", help="where images/ is (default: here)"
    )
    parser.add_argument(
        "--envs", type=Path, default=None, metavar="DIR", help="where images' environments are kept"
    )
    parser.add_argument(
        "--network",
        choices=("ask", "allow", "deny"),
        default="ask",
        help="whose steps reach the network: those that ask with the annotation pachlet/network=allow (the "
        "default), all but those that say deny, or none",
    )
    parser.add_argument(
        "--skip",
        choices=("upstream", "code-aware"),
        default="upstream",
        help="when a datum need not run again: as in Pachyderm, or only if its code is the same, too",
    )
    parser.add_argument(
        "--require-images",
        action="store_true",
        help="refuse images that are no folder of images/, instead of running them on this machine's own programs",
    )
    parser.add_argument(
        "--runner",
        choices=("auto", "process", "container"),
        default="auto",
        help="how steps run: as processes in sandboxes of our own, or in containers by Docker or Podman (auto: the "
        "first that isolates them here)",
    )
    parser.add_argument(
        "--egress-dir",
        type=Path,
        default=None,
        metavar="DIR",
        help="the one folder of this machine that pipelines may egress to, as file:// or sqlite:// (default: none)",
    )
    parser.add_argument(
        "--stock",
        action="store_true",
        help="answer as a Pachyderm does that is not pachlet: none of our own RPCs, and images are pulled (for trying "
        "`pachlet deploy`)",
    )
    parser.add_argument(
        "--address-file", type=Path, default=None, metavar="F", help="write the address to a file"
    )


def serve(session: Session, arguments: Namespace) -> None:
    from pachlet.server import SHOWN
    from pachlet.server import serve as serve_until_told

    if not 0 <= arguments.port <= 65535:
        raise Usage(f"{arguments.port} is no port", hint="a port is a number up to 65535")

    # What is logged, with the tracebacks of bugs, goes to stderr; INFO is for `logs` only (api/server_log.py), but for
    # what is installed: that takes minutes, and nobody who waits for it asks a server that he has just started.
    stderr = logging.StreamHandler()
    stderr.addFilter(lambda record: record.levelno >= logging.WARNING or record.name in SHOWN)
    logging.basicConfig(handlers=[stderr], format="%(asctime)s %(levelname)s %(name)s: %(message)s")

    def ready(address: str, runner: str) -> None:
        if arguments.address_file is not None:
            _write(arguments.address_file, address)
        session.say(f"pachlet serves on {address}, data in {arguments.data_dir}, runner: {runner}")

    serve_until_told(
        data_dir=arguments.data_dir.absolute(),
        host=arguments.host,
        port=arguments.port,
        workers=arguments.workers,
        code=arguments.code.absolute(),
        envs=(arguments.envs or default_envs()).absolute(),
        skip=arguments.skip,
        ready=ready,
        network=arguments.network,
        require_images=arguments.require_images or arguments.stock,
        stock=arguments.stock,
        runner=arguments.runner,
        egress_dir=arguments.egress_dir,
    )


def add_data_dir(parser: ArgumentParser) -> None:
    """--data-dir: where a server keeps everything."""
    parser.add_argument(
        "--data-dir",
        type=flags.folder,
        default=DEFAULT_DATA_DIR,
        metavar="D",
        help=f"where the data is (default {DEFAULT_DATA_DIR})",
    )


def _write(path: Path, text: str) -> None:
    """Write a file in one step, so that whoever waits for it never reads half of it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".address")
        with os.fdopen(handle, "w") as out:
            out.write(text + "\n")
        Path(name).replace(path)
    except OSError as error:
        raise PachletError(f"cannot write {path}: {error.strerror}") from None
