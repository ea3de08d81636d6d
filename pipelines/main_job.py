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
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pachlet.cli.code import code_under
from pachlet.cli.progress import Progress
from pachlet.cli.verbs.apply import spec_files
from pachlet.client import datums, files, logs, mirroring
from pachlet.client.apply import Applied, apply_specs
from pachlet.client.authorship import sources
from pachlet.client.cluster import describe
from pachlet.client.connection import Connection
from pachlet.client.get_file import get_bytes, get_folder
from pachlet.client.lineage.asking import trace
from pachlet.client.lineage.text import tree
from pachlet.client.mirroring import ensure_repos, is_empty
from pachlet.client.running import find_server
from pachlet.client.watch import Outcome
from pachlet.errors import NotFound, PachletError, Unavailable
from pachlet.spec.parse import parse_specs
from pipelines.champions import none_yet, settle, without_readers
from pipelines.making import add_server, at_work, check_port, price_files
from steps.crypto.wording import reason_words

ROOT = Path(__file__).parent.parent
PROJECTS = ("crypto", "iris")
START_SECONDS = 30
PORT = 30650  # where Pachyderm's clients look


def main() -> int:
    """Run the main job; return the exit status."""
    progress = Progress(sys.stdout, live=sys.stdout.isatty(), colour=sys.stdout.isatty())
    address = log = ""
    try:
        arguments = parse_arguments()
        raw = None if arguments.data is None else price_files(arguments.data)
        with at_work(arguments.data_dir, "make run"):
            address = arguments.address or start_server(
                arguments.data_dir, arguments.port, arguments.runner, tell=progress.line
            )
            log = f"; the server's log is {arguments.data_dir / 'server.log'}"
            return run(address, raw, arguments.data_dir / "output", progress)
    except Unavailable as error:
        progress.close()
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
    add_server(parser)
    parser.add_argument("--address", help="a server that is running; none is started then")
    return parser.parse_args()


def run(address: str, raw: Mapping[str, Path] | None, output: Path, progress: Progress) -> int:
    """Do the main job on a server, with price files by their paths in repo prices; return the exit status."""
    with Connection(address, project="crypto") as crypto, Connection(address, project="iris") as iris:
        progress.line(f"pachlet serves on {address}; `make stop` ends it")
        put_crypto_data(crypto, raw, progress)
        put_iris_data(iris, progress)
        applied, outcomes = settle(
            crypto,
            list(PROJECTS),
            lambda before: [*apply(crypto, progress, before_live=before), *apply(iris, progress)],
            progress,
        )
        progress.close()
        if tell_work(crypto, applied, outcomes, progress) or none_yet(crypto, progress):
            return 1
        show_results(crypto, iris, output, progress)
    return 0


# The server.


def start_server(
    data_dir: Path,
    port: int | None,
    runner: str = "auto",
    tell: Callable[[str], None] = print,
    otherwise: int = PORT,
) -> str:
    """Return the address of the server on a data directory, started if need be and left running.

    One that is started listens on `port`, or `otherwise`; that one that runs does not is told.
    """
    if address := running_server(data_dir):
        refuse_other_runner(address, runner)
        if port and port != int(address.rpartition(":")[2]):
            tell(
                f"PORT={port} is not used: a server runs on {data_dir} already, at {address};"
                " `make stop` first, or choose another DATA_DIR"
            )
        return address
    port = otherwise if port is None else port
    check_port(port)
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


def put_crypto_data(crypto: Connection, raw: Mapping[str, Path] | None, progress: Progress) -> None:
    """Put the price files: those that are given, or made-up ones where there are none yet; and the parameters."""
    ensure_repos(crypto, {"prices": "raw price files, one a coin"})
    if raw is not None:
        mirror(crypto, "prices", raw, "/raw", progress)
    elif is_empty(crypto, "prices@master:/raw"):
        maker = ROOT / "data" / "synthetic_coins.py"
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([sys.executable, maker, folder], check=True)
            made = {f"/raw/{each.name}": each for each in sorted(Path(folder).iterdir())}
            # Where they lay is gone tomorrow: they are from what made them.
            mirror(crypto, "prices", made, "/raw", progress, source=sources([str(maker)]))
    put_parameters(crypto, progress)


def mirror(
    connection: Connection,
    repo: str,
    wanted: Mapping[str, Path],
    folder: str,
    progress: Progress,
    *,
    source: str = "",
) -> None:
    """Make a folder of a repo hold just some local files, and say what that changed."""
    change = mirroring.mirror(connection, repo, wanted, folder, source=source)
    named = ", ".join(sorted(change.deleted)[:3]) + (", ..." if len(change.deleted) > 3 else "")
    progress.line(f"{connection.project}/{repo}: {change}" + (f" ({named})" if named else ""))


def put_parameters(crypto: Connection, progress: Progress) -> None:
    """Put what is chosen and not measured: the models' parameters, and when a model may be shown."""
    chosen = {"params": "parameters, a file a model", "policy": "what is promoted, and when"}
    ensure_repos(crypto, {**chosen, "champions": "verdicts of compare; branch live says which are shown"})
    for repo in chosen:
        folder = ROOT / "data" / repo
        found = {f"/{p.relative_to(folder)}": p for p in sorted(folder.rglob("*.json"))}
        mirror(crypto, repo, found, "", progress)


def put_iris_data(iris: Connection, progress: Progress) -> None:
    """Put the flowers to learn from and those to name."""
    ensure_repos(iris, {"training": "flowers with their species", "attributes": "flowers to be named"})
    folder = ROOT / "data" / "iris"
    mirror(iris, "training", {"/iris.csv": folder / "iris.csv"}, "", progress)
    tests = {f"/{each.name}": each for each in sorted((folder / "test").iterdir())}
    mirror(iris, "attributes", tests, "", progress)


# The pipelines.


def apply(connection: Connection, progress: Progress, *, before_live: bool = False) -> list[Applied]:
    """Bring the pipelines of a project in line with their specs and code.

    `before_live` leaves out those that read champions, which there are none of yet.
    """
    specs = specs_of(connection.project)
    return apply_specs(
        connection,
        without_readers(specs) if before_live else specs,
        code_under(ROOT),
        tell=lambda done: progress.line(f"{done.project}/{done}") if done.action != "unchanged" else None,
    )


def specs_of(folder: str) -> list[dict[str, Any]]:
    """Return the specs in a folder of pipelines/, which bears its project's name."""
    names = spec_files(str(ROOT / "pipelines" / folder))
    return [spec.json for name in names for spec in parse_specs(Path(name).read_bytes(), name)]


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
        counts += f", recovered {each.recovered}" if each.recovered else ""
        word = each.state.removeprefix("JOB_").lower()
        progress.line(f"  {each.project + '/' + each.pipeline:<{width}}  {word}: {counts}")
    for each in outcomes:
        for line in passed_over(connection, each):
            progress.line(line)
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


def passed_over(connection: Connection, outcome: Outcome) -> Iterator[str]:
    """Name the datums that failed and were left out, so that the others go on (`err_cmd`), and say what to do."""
    if not outcome.recovered:
        return
    job = f"{outcome.project}/{outcome.pipeline}@{outcome.job}"
    for info in datums.list_datum(connection, job, states=["RECOVERED"]):
        path = info.data[0].file.path
        yield f"{outcome.project}/{outcome.pipeline}: {path} failed and is left out; the others go on"
        yield (
            f"  next: pachlet debug datum --project {outcome.project} "
            f"{outcome.pipeline}@{outcome.job} {info.datum.id[:12]}"
        )


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
            reasons.setdefault(reason_words(coin["reason"]), []).append(coin["name"])
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
