"""Give an environment its bytecode: what others have of the same files, and the rest compiled.

Many images install the same packages. The installer gives each of them the very files of its cache, so what was
compiled of a file for one environment is that of all others on this Python, and compiling is most of what an
environment costs. The packages' own tests, half of what there is to compile, are left out: no step imports them.

Read next: environments.py (who calls this).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from pachlet.config import default_workers

_CACHED = "__pycache__"


def compile_command(python: Path, packages: Path) -> Sequence[str]:
    """Return the command that compiles what has no bytecode yet; it fails where a file is not of this Python."""
    tests = f"{re.escape(str(packages))}/(.*/)?tests/"
    words = ["-I", "-m", "compileall", "-qq", "-j", str(default_workers()), "-x", tests]
    return [str(python), *words, str(packages)]


def share_bytecode(packages: Path, others: Iterable[Path]) -> None:
    """Link the bytecode of files in `packages` that lie in one of the `others` too: the same files, not like ones."""
    others = list(others)
    for folder, _, _ in os.walk(packages):
        inside = Path(folder).relative_to(packages)
        if inside.name != _CACHED:
            missing = _sources(Path(folder))
            for other in others:
                if not missing:
                    break
                missing = _link(missing, Path(folder), other / inside)


def _sources(folder: Path) -> dict[str, int]:
    """Return the modules in a folder, without their suffix, each with its file's number."""
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        return {each.name[:-3]: each.inode() for each in entries if each.name.endswith(".py")}
    return {}


def _link(missing: dict[str, int], folder: Path, other: Path) -> dict[str, int]:
    """Link what another folder has of the modules that lack bytecode; return those that lack it still."""
    same = missing.items() & _sources(other).items()
    if not same:
        return missing
    compiled: dict[str, str] = {}
    with suppress(FileNotFoundError):
        compiled = {name.rsplit(".", 2)[0]: name for name in os.listdir(other / _CACHED)}
    found = {name for name, _ in same} & compiled.keys()
    if found:
        (folder / _CACHED).mkdir(exist_ok=True)
    for name in found:
        with suppress(OSError):  # another file system, or it is gone: compiled then
            os.link(other / _CACHED / compiled[name], folder / _CACHED / compiled[name])
    return {name: number for name, number in missing.items() if name not in found}
