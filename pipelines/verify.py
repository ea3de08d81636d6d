"""What `make verify` does: run all that the main job made once more, and compare every file with what is stored.

The server is started if none is running on the data directory, as by `make run`, and left running.

Read next: main_job.py, ../docs/verify.md.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from pachlet.cli import main as cli
from pachlet.cli.session import Session
from pachlet.errors import PachletError
from pipelines.main_job import complain, start_server


def main() -> int:
    """Verify; return the exit status of `pachlet verify`."""
    parser = argparse.ArgumentParser(description="Verify what the main job made.")
    parser.add_argument(
        "--data-dir", type=Path, default=Path(".pachlet"), help="where its server keeps its data"
    )
    parser.add_argument(
        "--port", type=int, default=30650, help="the port for a server that has to be started"
    )
    parser.add_argument("--runner", default="auto", help="how a server that has to be started runs steps")
    arguments = parser.parse_args()
    if not arguments.data_dir.is_dir():
        return complain(
            f"there is no {arguments.data_dir}, so nothing to verify", "`make run`", "make verify"
        )
    try:
        address = start_server(arguments.data_dir, arguments.port, arguments.runner)
    except PachletError as error:
        return complain(error.message, error.hint, "make verify")
    session = Session({**os.environ, "PACHD_ADDRESS": address}, program="pachlet")
    return cli.run(session, ["verify", "--all", "--quiet"])


if __name__ == "__main__":
    sys.exit(main())
