"""What `make verify` does: run all that the main job made once more, and compare every file with what is stored.

The server is started if none is running on the data directory, as by `make run`, and left running.

Read next: main_job.py, ../docs/verify.md.
"""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import suppress

from pachlet.cli import main as cli
from pachlet.cli.session import Session
from pachlet.client.commits import inspect_commit
from pachlet.client.connection import Connection
from pachlet.client.names import show_commit
from pachlet.client.pipelines import list_pipeline
from pachlet.errors import NotFound, PachletError
from pipelines.main_job import PROJECTS, complain, specs_of, start_server
from pipelines.making import add_server, at_work

VERB = "make verify"


def main() -> int:
    """Verify; return the exit status of `pachlet verify`."""
    parser = argparse.ArgumentParser(description="Verify what the main job made.")
    add_server(parser)
    try:
        arguments = parser.parse_args()
    except PachletError as error:
        return complain(error.message, error.hint, VERB)
    if not arguments.data_dir.is_dir():
        return complain(f"there is no {arguments.data_dir}, so nothing to verify", "`make run`", VERB)
    try:
        with at_work(arguments.data_dir, VERB):
            address = start_server(arguments.data_dir, arguments.port, arguments.runner)
            found = results(address)
            if not found:
                return complain(
                    f"no pipeline of {' and '.join(PROJECTS)} has a result yet", "`make run`", VERB
                )
            print(f"the newest results of {len(found)} pipelines are made once more", flush=True)
            session = Session({**os.environ, "PACHD_ADDRESS": address}, program="pachlet")
            return cli.run(session, ["verify", "--quiet", *found])
    except PachletError as error:
        return complain(error.message, error.hint, VERB)


def results(address: str) -> list[str]:
    """Return the newest output commit of each pipeline that the main job applies, whatever else the server has."""
    found = []
    for project in PROJECTS:
        with Connection(address, project=project) as connection:
            ours = {spec["pipeline"]["name"] for spec in specs_of(project)}
            for info in reversed(list(list_pipeline(connection))):  # upstream first
                if info.pipeline.name in ours:
                    head = f"{project}/{info.pipeline.name}@{info.details.output_branch}"
                    with suppress(NotFound):  # none yet
                        found.append(show_commit(inspect_commit(connection, head).commit))
    return found


if __name__ == "__main__":
    sys.exit(main())
