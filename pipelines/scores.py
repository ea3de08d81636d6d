"""What `make scores DATA=dir` does: run the evaluation on real data, and hold what comes of it against the goals.

Everything runs through the engine: the same pipelines as the main job's up to `compare`, with more parameter files
(data/scores), on a server and a data directory of their own. What was computed stays, so typing it again only prints
the table. It ends non-zero where a goal is missed.

Read next: goals.py (the goals), main_job.py, ../docs/crypto.md.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pachlet.cli import main as cli
from pachlet.cli.code import code_under
from pachlet.cli.progress import Progress
from pachlet.cli.session import Session
from pachlet.client import files, watch
from pachlet.client.apply import apply_specs
from pachlet.client.connection import Connection
from pachlet.client.get_file import get_bytes, get_folder
from pachlet.errors import NotFound, PachletError
from pipelines.champions import inputs_of
from pipelines.goals import crypto_goals, ingest_goals, iris_goals, table
from pipelines.main_job import (
    ROOT,
    complain,
    ensure_repos,
    mirror,
    put_iris_data,
    specs_of,
    start_server,
    tell_work,
)
from pipelines.making import add_server, at_work, check_names

MAKE = "make scores"
EXPERIMENT = "iris-experiment"
LAST = "compare"  # the evaluation ends here; forecasts are the main job's
# The back-tests, which are nearly all of the work, are made again only if that is asked for.
VERIFIED = ("compare", "score", "split", "standardise", "audit", "ingest")


def main() -> int:
    """Evaluate and print the table; return the exit status."""
    parser = argparse.ArgumentParser(description="Hold the evaluation on real data against its goals.")
    parser.add_argument("--data", type=Path, help="a folder with crypto/raw/*.csv and crypto/EXPECTED.json")
    parser.add_argument("--deep", action="store_true", help="make all of it again to see that it is the same")
    add_server(parser, data_dir=".pachlet-scores")
    progress = Progress(sys.stdout, live=sys.stdout.isatty(), colour=sys.stdout.isatty())
    try:
        arguments = parser.parse_args()
        raw = price_files(arguments.data)
        expected = json.loads((arguments.data / "crypto" / "EXPECTED.json").read_text())
        with at_work(arguments.data_dir, MAKE):
            address = start_server(
                arguments.data_dir, arguments.port, arguments.runner, progress.line, otherwise=0
            )
            progress.line(
                f"pachlet serves on {address} with its data in {arguments.data_dir}; `make stop` ends it, "
                "`make clean` removes the folder"
            )
            output = arguments.data_dir / "output" / LAST
            missed = run(address, raw, expected, output, progress)
            if missed is None:
                return 1
            progress.line("made again, is it the same?")
            return int(not made_again(address, deep=arguments.deep) or missed > 0)
    except PachletError as error:
        progress.close()
        return complain(error.message, error.hint, MAKE)
    except OSError as error:
        progress.close()
        return complain(f"{error.filename or 'a file'}: {error.strerror}", "choose another DATA", MAKE)
    except KeyboardInterrupt:
        progress.close()
        print(
            f"\nstopped waiting; the jobs go on, and `{MAKE}` waits for them again; `make stop` ends them",
            file=sys.stderr,
        )
        return 130


def price_files(data: Path | None) -> dict[str, Path]:
    """Find the price files; without them say what is needed."""
    needed = (
        "a folder with crypto/raw/<Coin>.csv and crypto/EXPECTED.json; README, Real prices, says where from"
    )
    if data is None:
        raise NotFound("the goals are about real data, and none was named", hint=f"make scores DATA={needed}")
    found = {f"/raw/{path.name}": path for path in sorted((data / "crypto" / "raw").glob("*.csv"))}
    if not found:
        raise NotFound(f"there is no .csv file in {data / 'crypto' / 'raw'}", hint=f"DATA is {needed}")
    check_names(found)
    return found


def run(
    address: str, raw: dict[str, Path], expected: dict[str, Any], output: Path, progress: Progress
) -> int | None:
    """Bring the evaluation up to date and print the table; return how many goals are missed, None if a job failed."""
    projects = ["crypto", "iris", EXPERIMENT]
    with (
        Connection(address, project="crypto") as crypto,
        Connection(address, project="iris") as iris,
        Connection(address, project=EXPERIMENT) as experiment,
    ):
        put_crypto(crypto, raw, progress)
        put_iris_data(iris, progress)
        put_iris_data(experiment, progress)
        parameters = ROOT / "data" / "iris" / "parameters"
        ensure_repos(experiment, {"parameters": "values to try, a file each"})
        mirror(experiment, "parameters", below(parameters), "", progress)
        applied = [
            done
            for each in (crypto, iris, experiment)
            for done in apply_specs(each, specs_to_judge(each.project), code_under(ROOT))
        ]
        outcomes = watch.wait_until_idle(crypto, projects, show=progress.jobs)
        progress.close()
        if tell_work(crypto, applied, outcomes, progress):
            return None
        choice = json.loads(get_bytes(experiment, "select@master:/choice.json"))
        goals = [
            *ingest_goals(json.loads(get_bytes(crypto, "audit@master:/totals.json")), expected),
            *crypto_goals(json.loads(get_bytes(crypto, f"{LAST}@master:/summary.json"))),
            *iris_goals(named_flowers(iris), choice, choice.get("mean")),
        ]
        get_folder(crypto, f"{LAST}@master:/", output)
    progress.line("")
    for line in table(goals):
        progress.line(line)
    progress.line(f"\nall models side by side: {output}/comparison/1d.png, 10d.png, {output}/leaderboard.csv")
    missed = sum(not goal.met for goal in goals)
    progress.line(f"\n{len(goals) - missed} of {len(goals)} goals met")
    return missed


def made_again(address: str, *, deep: bool) -> bool:
    """Tell whether the evaluation comes out the same: all of it, or all but the back-tests."""
    session = Session({**os.environ, "PACHD_ADDRESS": address}, program="pachlet")
    asked = [[f"{LAST}@master", "--deep"]] if deep else [[f"{name}@master"] for name in VERIFIED]
    found = [cli.run(session, ["verify", *words, "--project", "crypto", "--quiet"]) for words in asked]
    return not any(found)


def put_crypto(crypto: Connection, raw: dict[str, Path], progress: Progress) -> None:
    """Put the prices, the policy, and the main job's parameters with those that only the evaluation has."""
    wanted = {
        "prices": "raw price files",
        "params": "parameters, a file a model",
        "policy": "when to promote",
    }
    ensure_repos(crypto, wanted)
    mirror(crypto, "prices", raw, "/raw", progress)
    params = below(ROOT / "data" / "params") | below(ROOT / "data" / "scores" / "params")
    mirror(crypto, "params", params, "", progress)
    mirror(crypto, "policy", below(ROOT / "data" / "policy"), "", progress)


def below(folder: Path) -> dict[str, Path]:
    """Name the files below a folder by their place in it."""
    return {f"/{path.relative_to(folder)}": path for path in sorted(folder.rglob("*")) if path.is_file()}


def specs_to_judge(project: str) -> list[dict[str, Any]]:
    """Return a project's specs; of project crypto those that lead to the verdicts."""
    specs = specs_of(project)
    return upstream_of(LAST, specs) if project == "crypto" else specs


def upstream_of(last: str, specs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the spec of a pipeline and of all that it is made from."""
    by_name = {spec["pipeline"]["name"]: spec for spec in specs}
    needed, waiting = set[str](), [last]
    while waiting:
        name = waiting.pop()
        if name in by_name and name not in needed:
            needed.add(name)
            waiting += inputs_of(by_name[name]["input"])
    return [spec for spec in specs if spec["pipeline"]["name"] in needed]


def named_flowers(iris: Connection) -> dict[str, list[str]]:
    """Return what the flowers of each file were named."""
    return {
        info.file.path: get_bytes(iris, f"inference@master:{info.file.path}").decode().split()
        for info in files.list_file(iris, "inference@master:/")
    }


if __name__ == "__main__":
    sys.exit(main())
