"""The server that pachctl is connected to, as a client of python-pachyderm.

Read next: data_loader.py.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import python_pachyderm


def connect() -> python_pachyderm.Client:
    """Connect to the active context of pachctl's configuration, or where there is none to 127.0.0.1:30650.

    The file is $PACH_CONFIG or ~/.pachyderm/config.json, as for pachctl.
    """
    path = Path(os.environ.get("PACH_CONFIG") or Path.home() / ".pachyderm" / "config.json")
    if not path.is_file():
        return python_pachyderm.Client(host="127.0.0.1", port=30650)
    with path.open() as file:
        active = json.load(file)["v2"]["active_context"]
        file.seek(0)
        try:
            return python_pachyderm.Client.new_from_config(file)
        except Exception as problem:
            raise ConnectionError(f"context {active!r} of {path} can't be used: {problem}") from problem
