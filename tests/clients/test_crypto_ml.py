"""CryptoLoader and CryptoManager read and send through python-pachyderm, unmodified, to pipelines that are small here.

The notebook with both runs on the main job's own pipelines: tests/docs/test_readme.py.

Read next: crypto_ml_program.py, ../../crypto_ml/manager.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pachlet.client import pipelines, projects, repos
from pachlet.client.connection import Connection
from pachlet.client.put_file import FromDisk, put_file
from pachlet.testing import RunningServer
from tests.clients.test_clients import run

HEADER = "date,open,high,low,close,volume,market_cap,flags\n"
CASH = HEADER + "2017-09-21,1,2,0.5,1.5,,,\n2017-09-22,1.5,3,1,2.25,1000,1e9,FLAT\n"
INGEST = 'cd /pfs/prices/raw; for f in *.csv; do grep -q ^date "$f" || exit 3; cp "$f" /pfs/out/coins/; done'
PREDICT = """
cd /pfs/ingest/coins
for f in *.csv; do
  slug=${f%.csv}
  if [ $(wc -l < $f) -gt 2 ]; then
    close=$(tail -1 $f | cut -d, -f5)
    days=$(for h in 1 2 3 4 5 6 7 8 9 10; do printf '{"h": %d, "point": %s},' $h $close; done)
    echo "{\\"slug\\": \\"$slug\\", \\"status\\": \\"ok\\", \\"forecast\\": [${days%,}]}" > /pfs/out/$slug.json
  else
    why='"status": "skipped", "reason": "short_history"'
    echo "{\\"slug\\": \\"$slug\\", $why}" > /pfs/out/$slug.json
  fi
done
"""


def make_pipelines(crypto: Connection, folder: Path) -> None:
    """Stand the two pipelines up that the doors read, of the files' forms and of little else."""
    projects.create_project(crypto, "crypto")
    repos.create_repo(crypto, "prices")
    for name, source, glob, text in (
        ("ingest", "prices", "/raw/*", f"mkdir -p /pfs/out/coins\n{INGEST}"),
        ("predict", "ingest", "/coins/*", PREDICT),
    ):
        spec: dict[str, Any] = {
            "pipeline": {"name": name, "project": {"name": "crypto"}},
            "transform": {"image": "alpine", "cmd": ["sh"], "stdin": [text]},
            "input": {"pfs": {"repo": source, "glob": glob}},
            "datum_tries": "1",
        }
        pipelines.create_pipeline(crypto, spec)
    for name, file, text in (
        ("first", "bitcoin-cash.csv", CASH + "2017-09-23,2.25,3,1,2.5,1000,1e9,\n"),
        ("first", "new-coin.csv", HEADER + "2017-09-23,1,1,1,1,,,\n"),
        ("broken", "bitcoin-cash.csv", "no prices\n"),
        ("start", "bitcoin-cash.csv", CASH),
    ):
        (folder / name).mkdir(exist_ok=True)
        (folder / name / file).write_text(text)
    put_file(
        crypto, "prices@master", [FromDisk("/raw/bitcoin-cash.csv", folder / "start" / "bitcoin-cash.csv")]
    )


def test_the_doors_of_the_crypto_company(server: RunningServer, tmp_path: Path) -> None:
    with Connection(server.address, project="crypto") as crypto:
        make_pipelines(crypto, tmp_path)
    seen = run("crypto_ml", "crypto_ml_program.py", server, str(tmp_path))
    assert seen["names"] == ["bitcoin_cash"]
    numbers = dict.fromkeys(("Open", "High", "Low", "Close", "Volume", "Market Cap", "Price"), "float64")
    assert seen["columns"].pop("Date").startswith("datetime64")
    assert seen["columns"] == numbers
    assert seen["rows"] == [
        ["2017-09-21", 1.0, 2.0, 0.5, 1.5, None, None, 1.5],
        ["2017-09-22", 1.5, 3.0, 1.0, 2.25, 1000.0, 1e9, 2.25],
    ]
    assert (seen["prices"], seen["times"]) == ([1.5, 2.25], ["2017-09-21", "2017-09-22"])
    assert seen["unknown"].endswith("did you mean bitcoin_cash?")
    assert seen["no_branch"] == "source is 'ingest'; wanted repo@branch or repo@commit, such as ingest@master"
    assert seen["forecasts"] == {"bitcoin_cash": [[2.5] * 10]}
    assert seen["skipped"] == {"new_coin": "short_history"}
    assert seen["said"].splitlines()[0].startswith("bitcoin_cash [[2.5 2.5")
    assert seen["said"].splitlines()[-1] == "new_coin: no forecast: short_history"
    assert (seen["again"], seen["run_again"]) == (["bitcoin_cash"], seen["run"])
    assert (seen["pinned"], seen["newer"]) == ([1.5, 2.25], [1.5, 2.25, 2.5])
    assert seen["failed"].startswith("ingest@")
    assert "exit status 3" in seen["failed"]
    assert "there is no .csv file in" in seen["no_file"]
