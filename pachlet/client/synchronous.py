"""Import grpc without its asynchronous half, which nobody here uses.

That half and asyncio are 30 of the 70 ms that grpc takes to import, and grpc is most of a short command. So what stands
in for the two while grpc is imported is a module that becomes the real one as soon as somebody asks it for anything;
grpc's core keeps it, and asks when it serves a coroutine. Nobody else meets it.

Read next: connection.py (who imports it so).
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

_LATER = ("asyncio", "grpc.aio")


class Later(ModuleType):
    """Stands in for a module until it is asked for something."""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


def import_grpc() -> Any:
    """Return grpc; what was imported before, here or by others, stays as it is."""
    if "grpc" in sys.modules:
        return importlib.import_module("grpc")
    added = {name: Later(name) for name in _LATER if name not in sys.modules}
    sys.modules.update(added)
    try:
        return importlib.import_module("grpc")
    finally:
        for name, module in added.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]
