"""CryptoManager: forecasts for every coin in one call.

The manager that this follows sent a task for each coin to a broker, waited, printed what came back, and lost what did
not. Here the call is a commit: what is sent is put into the repo `prices`, its jobs run a datum for each coin, and the
answer is read from the commit that they made, which leads back to the prices, the models and the code. A coin that has
no forecast is in the answer with its reason.

Read next: data_loader.py, ../pipelines/crypto/predict.json.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import python_pachyderm
from python_pachyderm.pfs import Commit

from crypto_ml.connection import connect
from crypto_ml.data_loader import commit_of


class CryptoManager:
    """Sends prices to the pipelines of a project and brings back what they forecast.

    After `send_tasks`, `commit` is the ID under which everything of that run is found, in every repo, and `skipped` has
    each coin without a forecast with the reason.
    """

    def __init__(self, *, project: str = "crypto", client: python_pachyderm.Client | None = None) -> None:
        self._client = client or connect()
        self._project = project
        self.commit = ""
        self.skipped: dict[str, str] = {}

    def send_tasks(self, prices: str | Path | None = None, *, show: bool = True) -> dict[str, np.ndarray]:
        """Forecast every coin; print a line for each, as the original did.

        Args:
            prices: a folder of price files, one CSV a coin, that replace those of the same names; none: the prices that
                are there.
            show: print the forecasts.

        Returns:
            By the coin's name, the closes of the next ten days in US dollars, shape (1, 10).

        Raises:
            ValueError: there is no price file in the folder.
            RuntimeError: a job of this run did not succeed; it says which, and why.
        """
        if prices is not None:
            self.commit = self._put(Path(prices))
        else:
            self.commit = self._head("predict")
        self._wait()
        predicted = Commit("predict", id=self.commit, branch="", project=self._project)
        found: dict[str, np.ndarray] = {}
        self.skipped = {}
        for info in self._client.list_file(predicted, "/"):
            forecast = json.loads(self._client.get_file(predicted, info.file.path).read())
            name = forecast["slug"].replace("-", "_")
            if forecast["status"] == "ok":
                found[name] = np.array([[day["point"] for day in forecast["forecast"]]])
            else:
                self.skipped[name] = forecast["reason"]
        if show:
            for name, closes in sorted(found.items()):
                print(name, np.array2string(closes, max_line_width=100))
            for name, reason in sorted(self.skipped.items()):
                print(f"{name}: no forecast: {reason}")
        return found

    def _put(self, folder: Path) -> str:
        """Put price files in one commit; return its ID."""
        files = sorted(each for each in folder.glob("*") if each.suffix.lower() == ".csv" and each.is_file())
        if not files:
            raise ValueError(f"there is no .csv file in {folder}; a coin is a file, such as Bitcoin.csv")
        with self._client.commit("prices", "master", project_name=self._project) as commit:
            for each in files:
                with each.open("rb") as content:
                    self._client.put_file_bytes(commit, f"/raw/{each.name}", content)
        return str(commit.id)

    def _head(self, repo: str) -> str:
        """Return the ID of the newest commit of a repo."""
        asked = commit_of(repo, "master", self._project)
        return str(next(iter(self._client.inspect_commit(asked.to_pb()))).commit.id)

    def _wait(self) -> None:
        """Wait for every job of the run; raise if one did not succeed."""
        for info in self._client.wait_commit(self.commit):
            if info.error:
                repo = info.commit.branch.repo.name
                raise RuntimeError(
                    f"{repo}@{self.commit}: {info.error}; `pachctl logs -p {repo}` has what it said"
                )
