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
        yield from _descend(files, levels)


def _levels(pattern: str) -> list[Glob] | None:
    """Return a glob per depth, or None where one element of the pattern may match several of a path.

    Those of the folders look at one element each: where `!(..)` means less at a pattern's end, they let more in than
    the whole pattern, which has the last word.
    """
    if "**" in pattern or "[" in pattern:  # `[!a]` is a slash, too
        return None
    parts = pattern[1:].split("/")
    for part in parts:
        if any(part.count(left) != part.count(right) for left, right in ("()", "[]", "{}")):
            return None
    return [*(Glob("/" + part) for part in parts[:-1]), Glob(pattern)]


def _descend(files: FileSet, levels: list[Glob]) -> Iterator[Info]:
    stack = [files.list_dir("/")]  # as deep as the pattern, which may be deeper than Python nests calls
    while stack:
        info = next(stack[-1], None)
        if info is None:
            stack.pop()
            continue
        path, glob, is_last = info.path.rstrip("/"), levels[len(stack) - 1], len(stack) == len(levels)
        if is_last:
            if glob.match(path) is not None:
                yield info
        elif info.is_dir and glob.match(path[path.rindex("/") :]) is not None:
            stack.append(files.list_dir(path))
