"""How soon a pipeline that can't run says why, in `list pipeline`: from the call that makes it so to the reason.

    python -m benchmarks.obstacles [--times 5] [--pipelines 100]

Many other pipelines are defined meanwhile. The list is asked again as soon as it has answered, so it is never earlier
than a user could have seen it.

Read next: latency.py, comparing.py.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.comparing import verdict
from benchmarks.serving import serving
from pachlet.client import pipelines, repos
from pachlet.client.connection import Connection
from pachlet.client.put_file import from_bytes, put_file
from pachlet.wire import schema

TARGET = 5.0
"""Seconds, for the slowest."""
_GIVE_UP = 60.0
_CRASHING = "PIPELINE_CRASHING"
Change = Callable[[Connection, str], None]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description="Time how soon a pipeline that can't run says so.")
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--pipelines", type=int, default=100, help="how many others there are")
    arguments = parser.parse_args()
    print(
        f"{arguments.pipelines} other pipelines; seconds until the reason stands in the list, {arguments.times} times"
    )
    with (
        tempfile.TemporaryDirectory(prefix="pachlet-bench-") as name,
        serving(Path(name, "data")) as server,
        Connection(server.address) as connection,
    ):
        repos.create_repo(connection, "in")
        put_file(connection, "in@master", [from_bytes("/a", b"1")])
        for number in range(arguments.pipelines):
            pipelines.create_pipeline(connection, spec(f"other{number}", "in"))
        for what, (prepare, change) in CAUSES.items():
            taken = [
                until_told(connection, f"p{number}-{what.replace(' ', '-')}", prepare, change)
                for number in range(arguments.times)
            ]
            slowest = max(taken)
            print(
                f"{what:<28} median {statistics.median(taken):6.3f} s   slowest {slowest:6.3f} s"
                f"   target <= {TARGET:.0f} s: {verdict(slowest <= TARGET)}",
                flush=True,
            )


def spec(name: str, repo: str, **transform: Any) -> dict[str, Any]:
    """Return a pipeline that copies its input, but for what is otherwise."""
    copy = {"image": "debian:12", "cmd": ["sh"], "stdin": [f"cp /pfs/{repo}/* /pfs/out/"]}
    return {
        "pipeline": {"name": name},
        "input": {"pfs": {"repo": repo, "glob": "/*"}},
        "transform": {**copy, **transform},
    }


def nothing(connection: Connection, name: str) -> None:
    """Prepare nothing."""


def missing_image(connection: Connection, name: str) -> None:
    pipelines.create_pipeline(connection, spec(name, "in", image="pachlet/nobody-has-it"))


def bad_command(connection: Connection, name: str) -> None:
    pipelines.create_pipeline(connection, spec(name, "in", cmd=["no-such-program"]))


def too_much_memory(connection: Connection, name: str) -> None:
    asked = {"resource_requests": {"memory": "900Ti"}}
    pipelines.create_pipeline(connection, {**spec(name, "in"), **asked})


def with_a_secret(connection: Connection, name: str) -> None:
    text = {"metadata": {"name": name}, "stringData": {"k": "v"}}
    connection.call("pps_v2.API", "CreateSecret", {"file": json.dumps(text).encode()})
    secrets = [{"name": name, "key": "k", "env_var": "K"}]
    pipelines.create_pipeline(connection, spec(name, "in", secrets=secrets))


def without_it(connection: Connection, name: str) -> None:
    connection.call("pps_v2.API", "DeleteSecret", {"secret": {"name": name}})


def with_an_input(connection: Connection, name: str) -> None:
    repos.create_repo(connection, f"of-{name}")
    pipelines.create_pipeline(connection, spec(name, f"of-{name}"))


def without_the_input(connection: Connection, name: str) -> None:
    repos.delete_repo(connection, f"of-{name}", force=True)


CAUSES: dict[str, tuple[Change, Change]] = {
    "an image that is not there": (nothing, missing_image),
    "a command that is not there": (nothing, bad_command),
    "memory above the machine": (nothing, too_much_memory),
    "a secret that was deleted": (with_a_secret, without_it),
    "an input that was deleted": (with_an_input, without_the_input),
}


def until_told(connection: Connection, name: str, prepare: Change, change: Change) -> float:
    """Return the seconds until the list of pipelines has a reason for one that can't run."""
    prepare(connection, name)
    began = time.perf_counter()
    change(connection, name)
    while (seconds := time.perf_counter() - began) < _GIVE_UP:
        for each in pipelines.list_pipeline(connection):
            if each.pipeline.name == name and state_of(each) == _CRASHING and each.reason:
                return seconds
    raise SystemExit(f"{name}: no reason in the list after {_GIVE_UP:.0f} seconds")


def state_of(info: Any) -> str:
    """Return the name of a pipeline's state."""
    return schema.enum_name("pps_v2.PipelineState", info.state)


if __name__ == "__main__":
    main()
