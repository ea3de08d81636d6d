"""What `make prices` does: forecast real coins, at the prices of a public exchange, now and then every day.

Project crypto-live has the pipelines of project crypto; only its `prices` are not put by somebody: a cron pipeline of
that name asks the exchange. So the server stays up to date by itself for as long as it runs. Which coins is a file each
in repo `coins`; typing this again asks once more, and where no day has passed nothing else runs.

Read next: main_job.py, crypto-live/prices.json, ../steps/crypto/fetch.py.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from pachlet.cli.code import code_under
from pachlet.cli.progress import Progress
from pachlet.client.apply import Applied, apply_specs
from pachlet.client.connection import Connection
from pachlet.client.get_file import get_bytes, get_folder
from pachlet.client.pipelines import run_cron
from pachlet.errors import PachletError, Unavailable, Usage
from pipelines.champions import none_yet, settle, without_readers
from pipelines.main_job import (
    ROOT,
    complain,
    ensure_repos,
    forecast_table,
    is_empty,
    mirror,
    put_parameters,
    specs_of,
    start_server,
    tell_work,
)
from pipelines.making import add_server, at_work
from steps.crypto.fetch import URL

MAKE = "make prices"
PROJECT = "crypto-live"
COINS = ROOT / "data" / "coins"
SINCE = "2020-01-01"
PATIENCE = 5.0  # seconds for the exchange's first answer


def main() -> int:
    """Fetch, forecast and show; return the exit status."""
    progress = Progress(sys.stdout, live=sys.stdout.isatty(), colour=sys.stdout.isatty())
    try:
        arguments = parse_arguments()
        reach_exchange(os.environ.get("PRICES_URL", URL))
        with (
            at_work(arguments.data_dir, MAKE),
            Connection(
                start_server(arguments.data_dir, arguments.port, arguments.runner, progress.line),
                project=PROJECT,
            ) as connection,
        ):
            return run(connection, arguments.coins, arguments.data_dir / "output" / PROJECT, progress)
    except PachletError as error:
        progress.close()
        return complain(error.message, error.hint, MAKE)
    except OSError as error:
        progress.close()
        return complain(f"{error.filename or 'a file'}: {error.strerror}", "choose another DATA_DIR", MAKE)
    except KeyboardInterrupt:
        progress.close()
        print("\nstopped waiting; the jobs go on, and `make prices` waits for them again", file=sys.stderr)
        return 130


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Forecast real coins.")
    parser.add_argument(
        "coins", nargs="*", metavar="COIN", help="symbols, such as BTC; default: a few well-known"
    )
    add_server(parser)
    return parser.parse_args()


def reach_exchange(url: str) -> None:
    """Ask the exchange for one day of one coin, so that a network that is not there is told at once.

    Raises:
        Unavailable: it can't be reached, or is in trouble.
    """
    day = {"granularity": "86400", "start": f"{SINCE}T00:00:00Z", "end": f"{SINCE}T00:00:00Z"}
    try:
        status = httpx.get(f"{url}/products/BTC-USD/candles", params=day, timeout=PATIENCE).status_code
        trouble = (
            "" if status in (200, 404, 429) else f"it answered {status}"
        )  # 404: it has no such coin, but answers
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        trouble = f"{type(error).__name__}: {error}"
    if trouble:
        raise Unavailable(
            f"the exchange at {url} can't be reached, so nothing was put or started: {trouble}",
            hint="see to the way to the internet (HTTPS_PROXY if there is a proxy), then `make prices` again; "
            "`make run` needs no network",
        )


def run(connection: Connection, coins: Sequence[str], output: Path, progress: Progress) -> int:
    """Bring the project up to date with the exchange, and show its forecasts; return the exit status."""
    progress.line(f"pachlet serves on {connection.address}; `make stop` ends it")
    ensure_repos(connection, {"coins": "the coins to fetch, a file each"})
    put_coins(connection, coins, progress)
    put_parameters(connection, progress)
    applied, outcomes = settle(
        connection,
        [PROJECT],
        lambda before: apply_project(connection, progress, before_live=before),
        progress,
        start=lambda: run_cron(connection, "prices"),
    )
    progress.close()
    if tell_work(connection, applied, outcomes, progress) or none_yet(connection, progress):
        return 1
    for line in forecast_table(json.loads(get_bytes(connection, "report@master:/summary.json"))):
        progress.line(line)
    get_folder(connection, "report@master:/", output)
    progress.line(f"\nplots: {output}/overview.png, page: {output}/index.html; tomorrow's come by themselves")
    return 0


def put_coins(connection: Connection, symbols: Sequence[str], progress: Progress) -> None:
    """Have the repo hold the coins that are asked for; the ones it holds if none are, and a few if it holds none."""
    known = {json.loads(path.read_text())["product"]: path for path in sorted(COINS.glob("*.json"))}
    if not symbols:
        if is_empty(connection, "coins@master:/"):
            mirror(connection, "coins", {f"/{path.name}": path for path in known.values()}, "", progress)
        return
    with tempfile.TemporaryDirectory() as folder:
        wanted: dict[str, Path] = {}
        for symbol in symbols:
            if not (symbol.isascii() and symbol.isalnum()):
                raise Usage(f"{symbol!r} is no symbol of a coin", hint='write it like COINS="BTC ETH"')
            product = f"{symbol.upper()}-USD"
            path = known.get(product) or written(Path(folder), product)
            wanted[f"/{path.name}"] = path
        mirror(connection, "coins", wanted, "", progress)


def written(folder: Path, product: str) -> Path:
    """Write the file of a coin that is not in data/coins: it is called by its symbol."""
    path = folder / f"{product.partition('-')[0]}.json"
    coin = {"schema": "crypto.coin/1", "product": product, "since": SINCE}
    path.write_text(json.dumps(coin, sort_keys=True, indent=1) + "\n")
    return path


def specs_in(project: str) -> list[dict[str, Any]]:
    """Return the specs of a project that has its own `prices` and the other pipelines of project crypto."""
    return [in_project(spec, project) for folder in (project, "crypto") for spec in specs_of(folder)]


def in_project(spec: Mapping[str, Any], project: str) -> dict[str, Any]:
    """Return a spec as that of another project; its inputs are of its own project wherever they do not say."""
    return {**spec, "pipeline": {**spec["pipeline"], "project": {"name": project}}}


def apply_project(connection: Connection, progress: Progress, *, before_live: bool) -> list[Applied]:
    """Bring the project's pipelines in line with their specs and code; without the readers of champions if so asked."""

    def tell(done: Applied) -> None:
        if done.action != "unchanged":
            progress.line(f"{done.project}/{done}")

    specs = specs_in(connection.project)
    specs = without_readers(specs) if before_live else specs
    return apply_specs(connection, specs, code_under(ROOT), tell=tell)


if __name__ == "__main__":
    sys.exit(main())
