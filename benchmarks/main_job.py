"""The main job's time for each stage, its memory, and the limit: the same steps without an engine.

    make bench                made-up coins
    make bench DATA=folder    real price files

The environments of the images are installed first and the data directory is empty, so what is measured is the
work. Stages overlap (the four train stages share the workers), so their times add up to more than the whole.
*busy* is what the steps themselves took, over all datums. The limit is what the functions of the first five
stages take in one process of their own, all coins in one call: no datums, no versions, no sandbox.

Read next: plain_steps.py (the limit), process_tree.py (memory).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.process_tree import Watch, peak_of_process
from pachlet.cli.verbs.stop import stop_server
from pachlet.client import jobs, pipelines, projects, repos, watch
from pachlet.client.connection import Connection
from pachlet.client.put_file import FromDisk, put_file
from pachlet.config import default_envs
from pachlet.worker.process import ProcessRunner

ROOT = Path(__file__).parent.parent
FIRST_FIVE = ("ingest", "audit", "standardise", "split", "train-linear")
MIB = 1 << 20


@dataclass(frozen=True)
class Stage:
    """What one job did, in seconds since the first job was made."""

    pipeline: str
    datums: int
    began: float
    seconds: float
    busy: float


def main() -> int:
    """Run the benchmark and print what it found; return the exit status."""
    parser = argparse.ArgumentParser(description="Time the main job, stage by stage.")
    parser.add_argument("--data", type=Path, help="a folder of price files; default: made-up coins")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pachlet-bench-") as name:
        folder = Path(name)
        if arguments.data is None:
            print(
                "made-up coins; the real prices are not part of this repository (README.md says where they are)"
            )
            prices = folder / "prices"
            subprocess.run([sys.executable, ROOT / "data" / "synthetic_coins.py", prices], check=True)
        else:
            prices = arguments.data.absolute()
        print(f"{len(list(prices.glob('*.csv')))} price files, {len(os.sched_getaffinity(0))} cores\n")
        print(
            f"environments: {install_environments(folder / 'code'):.1f} s to make or find them\n", flush=True
        )
        status = whole_job(folder / "whole", arguments.data)
        if status == 0:
            first_five(folder / "five", prices)
    return status


def install_environments(scratch: Path) -> float:
    """Make the environment of every image; return the seconds that took."""
    started = time.monotonic()
    runner = ProcessRunner(ROOT, default_envs())
    try:
        for path in sorted((ROOT / "pipelines").glob("*/*.json")):
            image = runner.resolve(json.loads(path.read_text())["transform"]["image"])
            runner.prepare(
                image, scratch / image.digest.removeprefix("sha256:"), lambda line: print(f"  {line}")
            )
    finally:
        runner.close()
    return time.monotonic() - started


def whole_job(data_dir: Path, prices: Path | None) -> int:
    """Run what `make run` runs on an empty data directory, and print its stages."""
    started = time.monotonic()
    command = [sys.executable, "-m", "pipelines.main_job", "--data-dir", str(data_dir), "--port", "0"]
    if prices is not None:
        command += ["--data", str(prices.absolute())]
    with Watch(lambda: server_process(data_dir)) as memory:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - started
    try:
        if done.returncode:
            print(done.stdout + done.stderr)
            return done.returncode
        with Connection(address_of(data_dir)) as connection:
            show(stages(connection))
        pid = server_process(data_dir)
        print(f"\nthe whole of `make run`: {seconds:.1f} s")
        print(f"memory at its peak: server {peak_of_process(pid) / MIB:.0f} MiB; ", end="")
        print(
            f"server, workers and steps together {memory.peak / MIB:.0f} MiB (shared pages counted for each)"
        )
    finally:
        stop_server(data_dir)
    return 0


def first_five(data_dir: Path, prices: Path) -> None:
    """Compare the first five stages on the engine with their functions alone."""
    plain = [sys.executable, "-m", "benchmarks.plain_steps", str(prices), str(ROOT / "data" / "params")]
    done = subprocess.run(plain, cwd=ROOT, capture_output=True, text=True, check=True)
    alone: dict[str, float] = json.loads(done.stdout)
    program = str(Path(sys.executable).with_name("pachlet"))
    serve = [program, "serve", "--data-dir", str(data_dir), "--port", "0", "--code", str(ROOT)]
    data_dir.mkdir()
    with (data_dir / "server.log").open("w") as log:
        server = subprocess.Popen(serve, stderr=log)
    try:
        ours = run_first_five(wait_for_address(data_dir, server), prices)
    finally:
        server.terminate()
        server.wait()
    limit = sum(alone.values())
    print(f"\nthe first five stages ({', '.join(FIRST_FIVE)}):")
    print(f"  on pachlet, from putting the files to the last model  {ours:6.1f} s")
    print(f"  their functions in one process, on one core           {limit:6.1f} s")
    print(f"  ratio                                                 {ours / limit:6.2f}")


def run_first_five(address: str, prices: Path) -> float:
    """Put the files and run five pipelines; return the seconds that took."""
    with Connection(address, project="crypto") as crypto:
        projects.create_project(crypto, "crypto")
        started = time.monotonic()
        for repo, files in {
            "prices": {f"/raw/{each.name}": each for each in sorted(prices.iterdir()) if each.is_file()},
            "params": {"/linear/ridge.json": ROOT / "data" / "params" / "linear" / "ridge.json"},
        }.items():
            repos.create_repo(crypto, repo)
            put_file(crypto, f"{repo}@master", [FromDisk(path, local) for path, local in files.items()])
        for name in FIRST_FIVE:
            spec = json.loads((ROOT / "pipelines" / "crypto" / f"{name}.json").read_text())
            pipelines.create_pipeline(crypto, spec)
        outcomes = watch.wait_until_idle(crypto, ["crypto"])
        assert all(each.succeeded for each in outcomes), outcomes
        return time.monotonic() - started


def stages(connection: Connection) -> list[Stage]:
    """Return what each job did, in the order in which they began."""
    infos = list(jobs.list_job(connection, all_projects=True))
    first = min(seconds_of(info.created) for info in infos)
    found = [
        Stage(
            pipeline=f"{info.job.pipeline.project.name}/{info.job.pipeline.name}",
            datums=info.data_total,
            began=seconds_of(info.started) - first,
            seconds=seconds_of(info.finished) - seconds_of(info.started),
            busy=seconds_of(info.stats.process_time),
        )
        for info in infos
    ]
    return sorted(found, key=lambda each: each.began)


def seconds_of(moment: Any) -> float:
    """Return a Timestamp or a Duration as seconds."""
    return float(moment.seconds + moment.nanos / 1e9)


def show(found: list[Stage]) -> None:
    """Print the table."""
    print(f"{'stage':<22} {'datums':>6} {'began':>8} {'took':>8} {'busy':>8}")
    for each in found:
        print(
            f"{each.pipeline:<22} {each.datums:>6} {each.began:>6.1f} s {each.seconds:>6.1f} s {each.busy:>6.1f} s"
        )


def server_process(data_dir: Path) -> int:
    """Return the process of a data directory's server; 0 while there is none."""
    try:
        return int(json.loads((data_dir / "server.json").read_text())["pid"])
    except (OSError, ValueError, KeyError):
        return 0


def address_of(data_dir: Path) -> str:
    """Return the address of a data directory's server."""
    return str(json.loads((data_dir / "server.json").read_text())["address"])


def wait_for_address(data_dir: Path, server: subprocess.Popen[bytes]) -> str:
    """Return the address once the server answers."""
    while server.poll() is None:
        if server_process(data_dir):
            return address_of(data_dir)
        time.sleep(0.02)
    raise SystemExit((data_dir / "server.log").read_text())


if __name__ == "__main__":
    sys.exit(main())
