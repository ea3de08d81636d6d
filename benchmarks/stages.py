"""What each stage did, in seconds and datums, beside the datums that it should have run and skipped.

What should run follows from the coins, the usable ones among them, and the parameter files, and from nothing that the
server says of its jobs: a stage that ran too much or too little is named, and the benchmark fails.

Read next: main_job.py, changes.py (who ask).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from pachlet.client import files
from pachlet.client.connection import Connection

OWN = ("naive", "drift", "linear", "svm", "boosting", "lstm", "seed")
TRAINED = {"naive": ("naive", "drift"), **{name: (name,) for name in ("linear", "svm", "boosting", "lstm")}}
GATHERED = ("ledger", "monitor", "report", "store")


class Datums(NamedTuple):
    """Of a stage: how many ran, and how many were skipped because they had run before."""

    ran: int
    skipped: int = 0


Expected = Mapping[str, Datums]


@dataclass(frozen=True)
class Stage:
    """What one job did, in seconds since the first of them was made."""

    pipeline: str
    datums: Datums
    began: float
    seconds: float
    busy: float


@dataclass(frozen=True)
class Inputs:
    """What there is to be worked on."""

    files: int
    coins: int
    params: Mapping[str, int]
    # Coins of which some model for all coins says something on days that it had not seen; it does not of young ones.
    foretold: int

    def of(self, *families: str) -> int:
        """How many parameter files some families have."""
        return sum(self.params.get(family, 0) for family in families)

    def all_at_once(self) -> dict[str, Datums]:
        """What each stage of the company does when everything is new."""
        each = dict.fromkeys(("standardise", "split", "score", "predict", "decide"), Datums(self.coins))
        each |= {f"train-{name}": Datums(self.coins * self.of(*kinds)) for name, kinds in TRAINED.items()}
        once = dict.fromkeys(("audit", "compare", *GATHERED), Datums(1))
        return {
            **each,
            **once,
            "ingest": Datums(self.files),
            "backtest": Datums(self.coins * self.of(*OWN)),
            "backtest-global": Datums(self.of("global")),
            "train-global": Datums(self.of("global")),
        }


def inputs_of(crypto: Connection) -> Inputs:
    """Count the price files, the coins that can be forecast, and the parameter files by family."""

    def count(pattern: str) -> int:
        return sum(not info.file.path.endswith("/") for info in files.glob_file(crypto, pattern))

    families = {info.file.path.strip("/") for info in files.list_file(crypto, "params@master:/")}
    return Inputs(
        files=count("prices@master:/raw/*"),
        coins=count("audit@master:/universe/*.json"),
        params={family: count(f"params@master:/{family}/*.json") for family in sorted(families)},
        foretold=len(
            {
                info.file.path.split("/")[1]
                for info in files.glob_file(crypto, "backtest-global@master:/*/*.jsonl")
            }
        ),
    )


def after_new_prices(now: Inputs, listed: int) -> dict[str, Datums]:
    """Each coin has a day more: all runs but for the files beside them, and what is trained on none."""
    return {**now.all_at_once(), "ingest": Datums(now.files - listed, listed)}


def after_a_coin(now: Inputs) -> dict[str, Datums]:
    """One coin more: its own datums, and those that gather or learn from all coins and what follows from them."""
    found = now.all_at_once()
    for name in ("ingest", "standardise", "split", "backtest", *(f"train-{each}" for each in TRAINED)):
        before = now.files if name == "ingest" else now.coins
        own = found[name].ran // before
        found[name] = Datums(own, own * (before - 1))
    # What all coins have in common is another, and so is what it says of each coin, where it says anything.
    found["score"] = Datums(now.foretold, now.coins - now.foretold)
    return found


def after_a_model(now: Inputs, family: str) -> dict[str, Datums]:
    """One parameter file more of a family of a coin's own models: its datums, and those that gather all models."""
    found = now.all_at_once()
    for name in ("ingest", "audit", "standardise", "split"):  # they don't read parameters
        del found[name]
    for name in ("backtest", "backtest-global", "train-global", *(f"train-{each}" for each in TRAINED)):
        own = now.coins if name in ("backtest", f"train-{family}") else 0
        found[name] = Datums(own, found[name].ran - own)
    return found


def stages(infos: Iterable[Any]) -> list[Stage]:
    """Return what each job did, in the order in which they began."""
    told = list(infos)
    first = min(seconds_of(info.created) for info in told)
    found = [
        Stage(
            pipeline=f"{info.job.pipeline.project.name}/{info.job.pipeline.name}",
            datums=Datums(info.data_processed, info.data_skipped),
            began=seconds_of(info.started) - first,
            seconds=seconds_of(info.finished) - seconds_of(info.started),
            busy=seconds_of(info.stats.process_time),
        )
        for info in told
    ]
    return sorted(found, key=lambda each: each.began)


def seconds_of(moment: Any) -> float:
    """Return a Timestamp or a Duration as seconds."""
    return float(moment.seconds + moment.nanos / 1e9)


def show(found: Iterable[Stage], expected: Expected) -> list[str]:
    """Print the table; return a sentence for each stage whose datums are not those that were expected."""
    print(f"  {'stage':<22} {'ran':>5} {'skipped':>7} {'began':>8} {'took':>8} {'busy':>8}")
    seen: dict[str, list[Datums]] = defaultdict(list)
    for each in found:
        seen[each.pipeline].append(each.datums)
        print(
            f"  {each.pipeline:<22} {each.datums.ran:>5} {each.datums.skipped:>7}"
            f" {each.began:>6.1f} s {each.seconds:>6.1f} s {each.busy:>6.1f} s"
        )
    wrong = differences(
        {name: Datums(*map(sum, zip(*each, strict=True))) for name, each in seen.items()}, expected
    )
    print("  all datums as expected" if not wrong else "\n".join(f"  {each}" for each in wrong), flush=True)
    return wrong


def differences(seen: Expected, expected: Expected) -> list[str]:
    """Say of each stage what it should have run and did not, or the other way round; a stage of nothing is none."""
    nothing = Datums(0)
    return [
        f"{name}: {wanted.ran} should have run and {wanted.skipped} been skipped, and {had.ran} ran, {had.skipped} were"
        for name in sorted({*seen, *expected})
        if (had := seen.get(name, nothing)) != (wanted := expected.get(name, nothing))
    ]
