"""Import a module without a part of it that nobody here uses.

A short command takes most of its time for imports. So what stands in for such a part, while the rest is imported, is a
module that becomes the real one as soon as somebody asks it for anything. Nobody else meets it.

Read next: client/synchronous.py, wire/schema.py (who leave something out).
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any


class Later(ModuleType):
    """Stands in for a module until it is asked for something."""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


@contextmanager
def left_out(*names: str) -> Iterator[None]:
    """Have modules stood in for that are imported in the block; one that is there already stays as it is."""
    added = {name: Later(name) for name in names if name not in sys.modules}
    sys.modules.update(added)
    try:
        yield
    finally:
        for name, module in added.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]
