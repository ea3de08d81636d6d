"""CryptoLoader: the coins' prices as pandas frames, read from a commit.

The loader that this follows read whatever files lay in a folder; which ones those were, nobody could say a week later.
This one reads `repo@commit`, so a notebook that names the commit sees the same prices for ever. What it gives is what
the pipeline ingest made of the raw files: dates are dates, numbers are numbers, days ascend, and a coin's odd rows are
in its quarantine and not in the frame.

Two slides of the original disagree on what `get_prices` returns; see there. Its frames had a column `Price` on one
slide and not on the other; here `Price` is the close.

Read next: manager.py.
"""

from __future__ import annotations

import difflib
import io
from typing import Any

import numpy as np
import pandas as pd
import python_pachyderm
from python_pachyderm.pfs import Commit

from crypto_ml.connection import connect

COLUMNS = {
    "date": "Date",
    "open": "Open",
    "high": "High",
    "low": "Low",
    "close": "Close",
    "volume": "Volume",
    "market_cap": "Market Cap",
}


class UnknownCoin(KeyError):
    """There is no coin of that name in the commit; the message names the nearest."""

    def __str__(self) -> str:
        return str(self.args[0])


class CryptoLoader:
    """Reads coins from `repo@branch` or `repo@commit`, by default the newest that ingest made.

    The commit is looked up once, at the first read, so all that one loader gives is of one commit: `loader.commit`.
    """

    def __init__(
        self,
        source: str = "ingest@master",
        *,
        project: str = "crypto",
        client: python_pachyderm.Client | None = None,
    ) -> None:
        repo, _, branch = source.partition("@")
        if not repo or not branch:
            raise ValueError(
                f"source is {source!r}; wanted repo@branch or repo@commit, such as ingest@master"
            )
        self._client = client or connect()
        self._asked = commit_of(repo, branch, project)
        self._found: Commit | None = None
        self._names: dict[str, str] = {}

    @property
    def commit(self) -> str:
        """The ID of the commit that is read: write it down, and give it as `repo@ID` to see the same again."""
        return str(self._commit().id)

    def get_crypto_names(self) -> list[str]:
        """Return the names of all coins, sorted: lower case, words joined by `_`."""
        if not self._names:
            for info in self._client.list_file(self._commit(), "/coins/"):
                slug = info.file.path.removeprefix("/coins/").removesuffix(".csv")
                self._names[slug.replace("-", "_")] = info.file.path
        return sorted(self._names)

    def get_df(self, name: str) -> pd.DataFrame:
        """Return a coin's days, the newest last.

        Columns: Date (datetime64), Open, High, Low, Close in US dollars, Volume and Market Cap in US dollars (NaN where
        the source has none), Price (the close).

        Raises:
            UnknownCoin: no such coin.
        """
        names = self.get_crypto_names()
        wanted = name.strip().lower().replace(" ", "_").replace("-", "_")
        if wanted not in self._names:
            near = difflib.get_close_matches(wanted, names, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {len(names)} coins: get_crypto_names()"
            raise UnknownCoin(f"no coin {name!r} in {self._commit().repo}@{self.commit}; {hint}")
        text = self._client.get_file(self._commit(), self._names[wanted]).read()
        frame = pd.read_csv(io.BytesIO(text), usecols=list(COLUMNS), parse_dates=["date"])[list(COLUMNS)]
        frame = frame.rename(columns=COLUMNS)
        numbers = [column for column in frame.columns if column != "Date"]
        frame[numbers] = frame[numbers].astype(float)
        frame["Price"] = frame["Close"]
        return frame

    def get_prices(self, name: str, *, times: bool = False) -> Any:
        """Return a coin's closes in US dollars, shape (days,), the newest last.

        One slide shows `get_prices("bitcoin")` as this array, another takes `prices, times` from it. No value is both;
        with `times=True` it returns (closes, days), days as datetime64, shape (days,).
        """
        frame = self.get_df(name)
        closes: np.ndarray = frame["Close"].to_numpy()
        return (closes, frame["Date"].to_numpy()) if times else closes

    def _commit(self) -> Commit:
        """Look up what a branch points at, once."""
        if self._found is None:
            info = next(iter(self._client.inspect_commit(self._asked.to_pb())))
            self._found = self._asked._replace(id=info.commit.id)
        return self._found


def commit_of(repo: str, branch: str, project: str) -> Commit:
    """Name a commit by its ID or by the branch whose head it is."""
    is_id = len(branch) == 32 and all(each in "0123456789abcdef" for each in branch)
    return Commit(repo, branch="" if is_id else branch, id=branch if is_id else "", project=project)
