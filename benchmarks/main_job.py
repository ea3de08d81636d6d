"""The main job's time for each stage, its memory, what a change takes, and the limit: the steps without an engine.

    python -m benchmarks.main_job                  made-up coins
    python -m benchmarks.main_job --data folder    real price files

The environments of the images are installed first and the data directory is empty, so what is measured is the
work. Stages overlap (the four train stages share the workers), so their times add up to more than the whole.
*busy* is what the steps themselves took, over all datums. The limit is what the functions of the first five
stages take in one process of their own, all coins in one call: no datums, no versions, no sandbox. Beside each
stage stands how many datums ran and were skipped; where that is not what should have, the end is non-zero.

Read next: stages.py (what should run), changes.py (what a change takes), plain_steps.py (the limit), process_tree.py
(memory).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.changes import show_changes
from benchmarks.process_tree import Watch, adopt_orphans, cpu_seconds, peak_of_process
from benchmarks.serving import load, price_folder
from benchmarks.stages import Datums, inputs_of, show, stages
from pachlet.cli.verbs.stop import stop_server
from pachlet.client import jobs, pipelines, projects, repos, watch
from pachlet.client.connection import Connection
from pachlet.client.put_file import FromDisk, put_file
from pachlet.config import default_envs
from pachlet.worker.process import ProcessRunner

ROOT = Path(__file__).parent.parent
FIRST_FIVE = ("ingest", "audit", "standardise", "split", "train-linear")
MIB = 1 << 20


def main() -> int:
    """Run the benchmark and print what it found; return the exit status."""
    parser = argparse.ArgumentParser(description="Time the main job, stage by stage.")
    parser.add_argument("--data", type=Path, help="a folder of price files; default: made-up coins")
    arguments = parser.parse_args()
    adopt_orphans()
    with tempfile.TemporaryDirectory(prefix="pachlet-bench-") as name:
        folder = Path(name)
        if arguments.data is None:
            print(
                "made-up coins; the real prices are not part of this repository (README.md says where they are)"
            )
            prices = folder / "prices"
            subprocess.run([sys.executable, ROOT / "data" / "synthetic_coins.py", prices], check=True)
        else:
            prices = price_folder(arguments.data)
        print(
            f"{len(list(prices.glob('*.csv')))} price files, {len(os.sched_getaffinity(0))} cores, {load()}\n"
        )
        print(
            f"environments: {install_environments(folder / 'code'):.1f} s to make or find them\n", flush=True
        )
        made_up = arguments.data is None
        wrong = whole_job(folder / "whole", None if made_up else prices, prices, folder / "changes")
        first_five(folder / "five", prices)
        print(f"\n{load()}")
    for each in wrong:
        print(f"not as expected: {each}", file=sys.stderr)
    return 1 if wrong else 0


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


def whole_job(data_dir: Path, asked: Path | None, prices: Path, work: Path) -> list[str]:
    """Run what `make run` runs on an empty data directory, print its stages, and then what each change takes.

    Return a sentence for each stage, at first or after a change, whose datums are not those that should have run.
    """
    started, idle = time.monotonic(), cpu_seconds(os.getpid())
    command = [sys.executable, "-m", "pipelines.main_job", "--data-dir", str(data_dir), "--port", "0"]
    if asked is not None:
        command += ["--data", str(asked)]
    try:
        with Watch(lambda: server_process(data_dir)) as memory:
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        seconds = time.monotonic() - started
        if done.returncode:
            raise SystemExit(done.stdout + done.stderr)
        address = address_of(data_dir)
        with Connection(address, project="crypto") as crypto:
            expected = {f"crypto/{name}": each for name, each in inputs_of(crypto).all_at_once().items()}
            flowers = len(list((ROOT / "data" / "iris" / "test").iterdir()))
            expected |= {"iris/model": Datums(1), "iris/inference": Datums(flowers)}
            wrong = show(stages(jobs.list_job(crypto, all_projects=True)), expected)
        pid = server_process(data_dir)
        print(
            f"\nthe whole of `make run`: {seconds:.1f} s, {cpu_seconds(os.getpid()) - idle:.1f} s of processors"
        )
        print("the originals' way of the same size, Celery with a broker, is timed by benchmarks.forecasts")
        print(f"memory at its peak: server {peak_of_process(pid) / MIB:.0f} MiB; ", end="")
        print(
            f"server, workers and steps together {memory.peak / MIB:.0f} MiB (shared pages counted for each)"
        )
        return wrong + show_changes(address, prices, work)
    finally:
        stop_server(data_dir)


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
