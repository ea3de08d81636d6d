"""Find the files and directories of a commit that match a glob.

A pattern whose parts match one path element each is followed level by level, so that `/*` on a million files reads
the top level only; one with `**` walks everything below its literal beginning.

Read next: pachlet/globs/glob.py (the language).
"""

from __future__ import annotations

from collections.abc import Iterator

from pachlet.globs import Glob
from pachlet.paths import clean_path
from pachlet.storage.fileset import FileSet, Info


def glob_files(files: FileSet, pattern: str) -> Iterator[Info]:
    """Yield what matches, in the order of paths; directories' paths end with a slash."""
    pattern = clean_path(pattern)
    if pattern == "/":
        root = files.info("/")
        if root is not None:
            yield root
        return
    levels = _levels(pattern)
    if levels is None:
        glob = Glob(pattern)
        for info in files.walk(glob.literal_prefix.rpartition("/")[0] or "/"):
            if info.path != "/" and glob.match(info.path.rstrip("/")) is not None:
                yield info
    else:
        yield from _descend(files, "/", levels)


def _levels(pattern: str) -> list[Glob] | None:
    """Return a glob per depth, or None where one element of the pattern may match several of a path."""
    if "**" in pattern or "[" in pattern:  # `[!a]` is a slash, too
        return None
    parts = pattern[1:].split("/")
    for part in parts:
        if any(part.count(left) != part.count(right) for left, right in ("()", "[]", "{}")):
            return None
    return [Glob("/" + "/".join(parts[: depth + 1])) for depth in range(len(parts))]


def _descend(files: FileSet, folder: str, levels: list[Glob]) -> Iterator[Info]:
    glob, *deeper = levels
    for info in files.list_dir(folder):
        if glob.match(info.path.rstrip("/")) is None:
            continue
        if not deeper:
            yield info
        elif info.is_dir:
            yield from _descend(files, info.path.rstrip("/"), deeper)
