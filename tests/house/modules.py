"""The modules of the repository as syntax trees, for the rules of the house.

Read next: test_modules.py.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
FOLDERS = ("pachlet", "steps", "pipelines", "images", "data", "crypto_ml", "docs", "benchmarks", "tests")


@dataclass(frozen=True)
class Module:
    """One module, parsed."""

    path: Path

    @property
    def name(self) -> str:
        """The path below the root, such as `pachlet/clock.py`."""
        return self.path.relative_to(ROOT).as_posix()

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.path.read_text())

    @property
    def docstring(self) -> str:
        return ast.get_docstring(self.tree) or ""

    def uses(self) -> Iterator[str]:
        """Yield what is called or touched by name: `print`, `os.environ`, `time.sleep`, `from time import sleep`."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                yield f"{node.value.id}.{node.attr}"
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                yield node.func.id
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield from (f"{node.module}.{each.name}" for each in node.names)

    def imports(self) -> Iterator[str]:
        """Yield the modules that are imported, whether at the top or in a function."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (each.name for each in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module


def modules(*folders: str) -> list[Module]:
    """Return the modules in folders of the repository."""
    return [Module(path) for each in folders for path in sorted((ROOT / each).rglob("*.py"))]
