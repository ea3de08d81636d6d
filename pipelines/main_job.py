"""The main job: put the data, apply the pipelines, wait, and show the forecasts and where they come from.

Everything goes through the server's API, so the same script would drive a Pachyderm cluster. The server is started
here if none is running on the data directory, and left running.

Read next: crypto/*.json (the pipelines), ../pachlet/client/apply.py (what makes a pipeline run again).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pachlet.cli.code import code_under
from pachlet.cli.progress import Progress
from pachlet.cli.verbs.apply import spec_files
from pachlet.client import files, logs, projects, repos, watch
from pachlet.client.apply import Applied, apply_specs
from pachlet.client.cluster import describe
from pachlet.client.connection import Connection
from pachlet.client.get_file import get_bytes, get_folder
from pachlet.client.lineage.asking import trace
from pachlet.client.lineage.text import tree
from pachlet.client.put_file import FromDisk, Nothing, put_file
from pachlet.client.running import find_server
from pachlet.client.watch import Outcome
from pachlet.errors import AlreadyExists, NotFound, PachletError, Unavailable
from pachlet.paths import check_file_path
from pachlet.spec.parse import parse_specs

ROOT = Path(__file__).parent.parent
START_SECONDS = 30
NOTICE = "SYNTHETIC.txt"  # lies beside price files that are made up, and goes with them into every output


def main() -> int:
    """Run the main job; return the exit status."""
    arguments = parse_arguments()
    progress = Progress(sys.stdout, live=sys.stdout.isatty(), colour=sys.stdout.isatty())
    address = ""
    try:
        address = arguments.address or start_server(arguments.data_dir, arguments.port, arguments.runner)
        return run(address, arguments.data, arguments.data_dir / "output", progress)
    except Unavailable as error:
        progress.close()
        log = f"; the server's log is {arguments.data_dir / 'server.log'}" if address else ""
        return complain(
            error.message + log, "run `make run` again: it goes on where it was" if address else error.hint
        )
    except PachletError as error:
        progress.close()
        return complain(error.message, error.hint)
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        progress.close()
        return complain(f"{error.filename or 'a file'}: {error.strerror}", "choose another DATA or DATA_DIR")
    except KeyboardInterrupt:
        progress.close()
        if address:
            print("\nstopped waiting; the jobs go on, and `make run` waits for them again", file=sys.stderr)
        return 130


def complain(what: str, following: str, verb: str = "make run") -> int:
    """Say what went wrong and what to do next; return the exit status."""
    print(f"{verb}: {what}" + (f"\n  next: {following}" if following else ""), file=sys.stderr)
    return 1


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Run the main job.")
    parser.add_argument("--data", type=Path, help="a folder of price files; default: made-up coins")
    parser.add_argument(
        "--data-dir", type=Path, default=Path(".pachlet"), help="where the server keeps its data"
    )
    parser.add_argument(
        "--port", type=int, default=30650, help="the port for a server that has to be started"
    )
    parser.add_argument(
        "--runner",
        choices=("auto", "process", "container"),
        default="auto",
        help="how a server that has to be started runs steps",
    )
    parser.add_argument("--address", help="a server that is running; none is started then")
    return parser.parse_args()


def run(address: str, data: Path | None, output: Path, progress: Progress) -> int:
    """Do the main job on a server; return the exit status."""
    with Connection(address, project="crypto") as crypto, Connection(address, project="iris") as iris:
        progress.line(f"pachlet serves on {address}; `make stop` ends it")
        put_crypto_data(crypto, data, progress)
        put_iris_data(iris, progress)
        applied = [*apply(crypto, progress), *apply(iris, progress)]
        outcomes = watch.wait_until_idle(crypto, ["crypto", "iris"], show=progress.jobs)
        progress.close()
        if tell_work(crypto, applied, outcomes, progress):
            return 1
        show_results(crypto, iris, output, progress)
    return 0


# The server.


def start_server(data_dir: Path, port: int, runner: str = "auto") -> str:
    """Return the address of the server on a data directory, started if need be and left running."""
    if address := running_server(data_dir):
        refuse_other_runner(address, runner)
        return address
    data_dir.mkdir(parents=True, exist_ok=True)
    log = data_dir / "server.log"
    command = [Path(sys.executable).parent / "pachlet", "serve", "--data-dir", data_dir, "--port", str(port)]
    with log.open("w") as out:
        server = subprocess.Popen(
            [*command, "--code", ROOT, "--runner", runner],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if server.poll() is not None:
            said = log.read_text().strip().removeprefix("pachlet: ") or f"exit status {server.returncode}"
            raise PachletError(f"the server did not start: {said}", hint=f"its log is {log}")
        with contextlib.suppress(PachletError):  # it may hold the folder already and not answer yet
            if address := running_server(data_dir):
                return address
        time.sleep(0.05)
    raise PachletError(f"the server did not answer within {START_SECONDS} s", hint=f"its log is {log}")


def refuse_other_runner(address: str, wanted: str) -> None:
    """Raise if the server that is running runs steps in another way than is asked for."""
    with Connection(address) as connection:
        found = describe(connection)
    if wanted != "auto" and found is not None and not found.runner.startswith(wanted):
        raise PachletError(
            f"the server at {address} is running already, with runner {found.runner}",
            hint="`make stop` first",
        )


def running_server(data_dir: Path) -> str:
    """Return the address of the server that answers for a data directory, or '' if none does."""
    found = find_server(data_dir)
    return found.address if found else ""


# The data.


def put_crypto_data(crypto: Connection, data: Path | None, progress: Progress) -> None:
    """Put the price files: those of a folder, or made-up ones where there are none yet; and the parameters."""
    ensure_repos(crypto, {"prices": "raw price files, one a coin", "params": "parameters, a file a model"})
    if data is not None:
        found = sorted(each for each in data.glob("*") if each.suffix.lower() == ".csv" and each.is_file())
        if not found:
            raise NotFound(
                f"there is no .csv file in {data}", hint="DATA is a folder of price files, one a coin"
            )
        found += data.glob(NOTICE)
        mirror(crypto, "prices", {f"/raw/{each.name}": each for each in found}, "/raw", progress)
    elif is_empty(crypto, "prices@master:/raw"):
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([sys.executable, ROOT / "data" / "synthetic_coins.py", folder], check=True)
            made = {f"/raw/{each.name}": each for each in sorted(Path(folder).iterdir())}
            mirror(crypto, "prices", made, "/raw", progress)
    params = ROOT / "data" / "params"
    mirror(
        crypto,
        "params",
        {f"/{p.relative_to(params)}": p for p in sorted(params.rglob("*.json"))},
        "",
        progress,
    )


def put_iris_data(iris: Connection, progress: Progress) -> None:
    """Put the flowers to learn from and those to name."""
    ensure_repos(iris, {"training": "flowers with their species", "attributes": "flowers to be named"})
    folder = ROOT / "data" / "iris"
    mirror(iris, "training", {"/iris.csv": folder / "iris.csv"}, "", progress)
    tests = {f"/{each.name}": each for each in sorted((folder / "test").iterdir())}
    mirror(iris, "attributes", tests, "", progress)


def ensure_repos(connection: Connection, wanted: dict[str, str]) -> None:
    """Create the project of a connection and repos in it, where they are missing."""
    with contextlib.suppress(AlreadyExists):
        projects.create_project(connection, connection.project)
    for name, description in wanted.items():
        try:
            repos.create_repo(connection, name, description=description)
        except AlreadyExists:
            continue


def is_empty(connection: Connection, folder: str) -> bool:
    """Tell whether a folder of a repo has no file; a branch that is not there has none."""
    try:
        return next(iter(files.list_file(connection, folder)), None) is None
    except NotFound:
        return True


def mirror(
    connection: Connection, repo: str, wanted: dict[str, Path], folder: str, progress: Progress
) -> None:
    """Make a folder of a repo hold just some local files, in one commit; in none where it does already."""
    there: dict[str, int] = {}
    if not is_empty(connection, f"{repo}@master:{folder}/"):
        for info in files.walk_file(connection, f"{repo}@master:{folder}/"):
            if not info.file.path.endswith("/"):
                there[info.file.path] = info.size_bytes
    for path in wanted:  # before anything is changed
        check_file_path(path)
    changed = [path for path in wanted if not is_same(connection, repo, path, wanted[path], there.get(path))]
    gone = [path for path in there if path not in wanted]
    if changed or gone:
        puts = [*map(Nothing, gone), *(FromDisk(path, wanted[path]) for path in changed)]
        put_file(connection, f"{repo}@master", puts)
    put = "1 file put" if len(changed) == 1 else f"{len(changed)} files put"
    what = put + (f", {len(gone)} deleted" if gone else "") if changed or gone else "unchanged"
    progress.line(f"{connection.project}/{repo}: {what}")


def is_same(connection: Connection, repo: str, path: str, local: Path, size: int | None) -> bool:
    """Tell whether a file of a repo has the bytes of a local one."""
    content = local.read_bytes()
    return size == len(content) and get_bytes(connection, f"{repo}@master:{path}") == content


# The pipelines.


def apply(connection: Connection, progress: Progress) -> list[Applied]:
    """Bring the pipelines of a project in line with their specs and code."""
    specs = []
    for name in spec_files(str(ROOT / "pipelines" / connection.project)):
        specs += [spec.json for spec in parse_specs(Path(name).read_bytes(), name)]
    return apply_specs(
        connection,
        specs,
        code_under(ROOT),
        tell=lambda done: progress.line(f"{done.project}/{done}") if done.action != "unchanged" else None,
    )


def tell_work(
    connection: Connection, applied: Sequence[Applied], outcomes: Sequence[Outcome], progress: Progress
) -> bool:
    """Say what was computed, and what failed code printed last; return whether a job did not succeed."""
    if all(each.action == "unchanged" for each in applied):
        progress.line(f"all {len(applied)} pipelines unchanged: same specs, same code")
    if not outcomes:
        progress.line("nothing to recompute: 0 datums processed")
        return False
    width = max(len(f"{each.project}/{each.pipeline}") for each in outcomes)
    for each in outcomes:
        counts = f"processed {each.processed}, skipped {each.skipped}, failed {each.failed}"
        word = each.state.removeprefix("JOB_").lower()
        progress.line(f"  {each.project + '/' + each.pipeline:<{width}}  {word}: {counts}")
    bad = [each for each in outcomes if not each.succeeded]
    for each in bad:
        progress.line(f"{each.project}/{each.pipeline}: {each.reason}")
        if each.state == "JOB_UNRUNNABLE":
            continue
        for line in logs.failure_lines(connection, f"{each.project}/{each.pipeline}@{each.job}"):
            progress.line(f"  | {line}")
        progress.line(f"  next: pachctl logs --project {each.project} -j {each.pipeline}@{each.job}")
    progress.line(f"{sum(each.processed for each in outcomes)} datums processed")
    return bool(bad)


# What came of it.


def show_results(crypto: Connection, iris: Connection, output: Path, progress: Progress) -> None:
    """Print the forecasts, where the plots are, what the iris were named, and where one model comes from."""
    summary = json.loads(get_bytes(crypto, "report@master:/summary.json"))
    for line in forecast_table(summary):
        progress.line(line)
    report = output / "report"
    get_folder(crypto, "report@master:/", report)
    progress.line(f"\nplots: {report}/overview.png and {report}/png/, page: {report}/index.html")
    progress.line("  (files of crypto/report@master, the output of pipeline report)")
    progress.line("\niris:")
    for info in files.list_file(iris, "inference@master:/"):
        named = get_bytes(iris, f"inference@master:{info.file.path}").decode().split()
        progress.line(f"  {info.file.path}: {', '.join(named)}")
    model = pick_model(crypto)
    progress.line(f"\nwhere crypto/{model} comes from:")
    for line in tree(trace(crypto, model)):
        progress.line("  " + line)


def forecast_table(summary: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of the table: last price, and in 1 and 10 days with 80 % intervals and the model."""
    yield ""
    if summary["label"]:
        yield f"*** {summary['label']} ***"
    rows = [("COIN", "LAST", "IN 1 DAY", "80 %", "IN 10 DAYS", "80 %", "MODEL")]
    reasons: dict[str, list[str]] = {}
    for coin in summary["coins"]:
        if not coin["forecast"]:
            reasons.setdefault(coin["reason"], []).append(coin["name"])
            continue
        row = [coin["name"], price(coin["last"])]
        for horizon in ("1", "10"):
            step = coin["forecast"][horizon]
            row += [price(step["point"]), f"{price(step['lo80'])} … {price(step['hi80'])}"]
        rows.append((*row, coin["forecast"]["1"]["model"]))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    for reason, names in sorted(reasons.items()):
        yield f"no forecast ({reason}): {', '.join(names)}"


def price(value: float) -> str:
    """Show a price with five significant digits, cheap coins without an exponent."""
    if abs(value) >= 1000:
        return f"{value:,.2f}"
    text = f"{value:.5g}"
    return f"{value:.10f}".rstrip("0") if "e" in text else text


def pick_model(crypto: Connection) -> str:
    """Return the file of one model: the first one that the SVM pipeline made."""
    for info in files.glob_file(crypto, "train-svm@master:/**.joblib"):
        return f"train-svm@master:{info.file.path}"
    raise NotFound("train-svm made no model", hint="pachctl list job -p train-svm --project crypto")


if __name__ == "__main__":
    sys.exit(main())
