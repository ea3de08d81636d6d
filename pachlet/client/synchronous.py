"""Import grpc without its asynchronous half, which nobody here uses.

That half and what it needs are 35 of the 75 ms that grpc takes to import, and grpc is most of a short command. grpc's
core keeps what stands in for them, and asks it when it serves a coroutine.

Read next: connection.py (who imports it so), pachlet/later.py.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

from pachlet.later import left_out


def import_grpc() -> Any:
    """Return grpc; what was imported before, here or by others, stays as it is."""
    if "grpc" in sys.modules:
        return importlib.import_module("grpc")
    with left_out("asyncio", "grpc.aio", "inspect", "socket"):
        return importlib.import_module("grpc")
