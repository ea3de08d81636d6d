"""CryptoLoader and CryptoManager on python-pachyderm, unmodified; runs in their own environment.

Prints what it saw as JSON; test_crypto_ml.py holds it against what was put.
"""

import contextlib
import io
import json
import sys
from pathlib import Path

import python_pachyderm

from crypto_ml.data_loader import CryptoLoader
from crypto_ml.manager import CryptoManager

host, port = sys.argv[1].split(":")
folder = Path(sys.argv[2])
client = python_pachyderm.Client(host=host, port=int(port))
seen = {}

loader = CryptoLoader(client=client)
seen["names"] = loader.get_crypto_names()
frame = loader.get_df("Bitcoin Cash")
seen["columns"] = {column: str(dtype) for column, dtype in frame.dtypes.items()}
seen["rows"] = json.loads(frame.astype({"Date": str}).to_json(orient="values"))
seen["prices"] = loader.get_prices("bitcoin_cash").tolist()
prices, times = loader.get_prices("bitcoin-cash", times=True)
seen["times"] = [str(each)[:10] for each in times]
seen["commit"] = loader.commit
try:
    loader.get_df("bitcoin_cahs")
except KeyError as error:
    seen["unknown"] = str(error)
try:
    CryptoLoader("ingest", client=client)
except ValueError as error:
    seen["no_branch"] = str(error)

manager = CryptoManager(client=client)
said = io.StringIO()
with contextlib.redirect_stdout(said):
    found = manager.send_tasks(folder / "first")
seen["forecasts"] = {name: closes.tolist() for name, closes in found.items()}
seen["skipped"] = manager.skipped
seen["said"] = said.getvalue()
seen["run"] = manager.commit
seen["again"] = sorted(manager.send_tasks(show=False))
seen["run_again"] = manager.commit
seen["pinned"] = CryptoLoader(f"ingest@{seen['commit']}", client=client).get_prices("bitcoin_cash").tolist()
seen["newer"] = CryptoLoader(client=client).get_prices("bitcoin_cash").tolist()
try:
    manager.send_tasks(folder / "broken", show=False)
except RuntimeError as error:
    seen["failed"] = str(error)
try:
    manager.send_tasks(folder)
except ValueError as error:
    seen["no_file"] = str(error)
print(json.dumps(seen))
