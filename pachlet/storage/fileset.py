"""File sets: files by path, as a commit shows them.

A read view of a tree of entries. Directories are not stored; they are where paths have a slash, and their
size and hash come from the tree without reading what is below them. A listing jumps from one directory to
the next sibling.

Read next: diffs.py (how a file set becomes the next one), entries.py (what is stored of a file).
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from pachlet.storage import hashing
from pachlet.storage.diffs import Diff, apply_diffs
from pachlet.storage.entries import (
    DEFAULT_TAG,
    Entry,
    decode_key,
    decode_value,
    describe_value,
    encode_key,
    keys_below,
    keys_of,
)
from pachlet.storage.nodes import value_size
from pachlet.storage.tree import Tree, diff

__all__ = ["DEFAULT_TAG", "Diff", "Entry", "FileSet", "Info", "apply_diffs", "diff_filesets"]


_LOOK_UPS_WORTH_A_SCAN = 16
"""So many entries can be passed by in the time that it takes to look for what clashes with one path."""


class Info(NamedTuple):
    """A file or a directory (whose path ends with a slash).

    Equal hashes mean equal content below equal paths, whichever datums wrote it. A file that several datums
    wrote has the size of all and the first one's tag; a directory has no tag.
    """

    path: str
    is_dir: bool
    size: int
    hash: bytes
    tag: str


class FileSet:
    """The files of one tree, to read."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree

    def file(self, path: str, tag: str | None = None) -> list[Entry]:
        """Return what each datum, or that of the tag, wrote of a file, in the order of tags."""
        if tag is None:
            return [self._entry(key, value) for key, value in self.tree.scan(*keys_of(path))]
        key = encode_key(path, tag)
        value = self.tree.get(key)
        return [] if value is None else [self._entry(key, value)]

    def entries(self, prefix: str = "/", tag: str | None = None) -> Iterator[Entry]:
        """Yield the entries whose paths begin with `prefix`, sorted by path and tag."""
        for key, value in self.tree.scan(*keys_below(prefix)):
            if tag is None or decode_key(key)[1] == tag:
                yield self._entry(key, value)

    def between(self, lower: str, upper: str = "") -> Iterator[Entry]:
        """Yield the entries whose paths are at or after `lower` and before `upper` ("" is no end), sorted."""
        for key, value in self.tree.scan(lower.encode(), upper.encode() if upper else None):
            yield self._entry(key, value)

    def sizes(self) -> Iterator[tuple[str, int]]:
        """Yield path and size of every entry, sorted; cheaper than the entries."""
        for key, value in self.tree.scan():
            yield decode_key(key)[0], value_size(value)

    def info(self, path: str) -> Info | None:
        """Return the file or directory at a path, with or without a slash at its end; None if there is neither."""
        name = path.rstrip("/")
        return (self._file(name) if name else None) or self._directory(name + "/")

    def list_dir(self, path: str) -> Iterator[Info]:
        """Yield what lies directly in a directory, sorted; nothing if it is empty, a file or not there."""
        folder = path.rstrip("/").encode() + b"/"
        at, stop = keys_below(folder.decode())
        while at < stop:
            # Files up to the next directory, then on behind all that is in it.
            below = yield from self._list_files(folder, at, stop)
            if below is None:
                return
            info = self._directory(below.decode())
            assert info is not None
            yield info
            _, at = keys_below(below.decode())

    def walk(self, path: str = "/") -> Iterator[Info]:
        """Yield a file, or a directory and then everything below it, in the order of paths."""
        info = self.info(path)
        if info is None:
            return
        yield info
        # A stack, not calls within calls: folders may be nested deeper than Python nests those.
        stack = [self.list_dir(info.path)] if info.is_dir else []
        while stack:
            below = next(stack[-1], None)
            if below is None:
                stack.pop()
                continue
            yield below
            if below.is_dir:
                stack.append(self.list_dir(below.path))

    def size(self) -> int:
        """Return the size of all files."""
        return self.tree.measure()[1]

    def validate(self, since: FileSet | None = None) -> str | None:
        """Return what is wrong with the paths, None if nothing is.

        Given a valid file set that this one grew out of, only what was added is looked at.
        """
        if since is None or since.tree.root is None:
            return self._first_clash()
        changes = diff(since.tree, self.tree)
        added = [decode_key(key)[0] for key, before, after in changes if before is None and after is not None]
        if len(added) * _LOOK_UPS_WORTH_A_SCAN > self.tree.measure()[0]:
            return self._first_clash()
        return next(filter(None, map(self._clash_of, added)), None)

    def _entry(self, key: bytes, value: bytes) -> Entry:
        path, tag = decode_key(key)
        return Entry(path, tag, decode_value(value, self.tree.nodes))

    def _file(self, path: str) -> Info | None:
        pairs = list(self.tree.scan(*keys_of(path)))
        return _file_info(pairs) if pairs else None

    def _directory(self, path: str) -> Info | None:
        start, stop = keys_below(path)
        digest = self.tree.digest(start, stop)
        if digest is None:
            return None
        return Info(path, True, self.tree.measure(start, stop)[1], hashing.directory_hash(digest), "")

    def _list_files(self, folder: bytes, at: bytes, stop: bytes) -> Generator[Info, None, bytes | None]:
        """Yield files of a folder up to the first directory; return its path, None if no more follow."""
        pairs: list[tuple[bytes, bytes]] = []  # of one file, by tag
        for key, value in self.tree.scan(at, stop):
            name = key.partition(b"\0")[0]
            if pairs and pairs[0][0].partition(b"\0")[0] != name:
                yield _file_info(pairs)
                pairs = []
            slash = name.find(b"/", len(folder))
            if slash >= 0:
                return name[: slash + 1]
            pairs.append((key, value))
        if pairs:
            yield _file_info(pairs)
        return None

    def _first_clash(self) -> str | None:
        above: list[str] = []  # files whose paths begin the path at hand, shortest first
        before = ("", "")
        for key, _ in self.tree.scan():
            path, tag = decode_key(key)
            if path == before[0]:
                return _duplicate(path, before[1], tag)
            while above and not path.startswith(above[-1]):
                above.pop()
            if any(path[len(file)] == "/" for file in above):
                return _collision(path)
            above.append(path)
            before = path, tag
        return None

    def _clash_of(self, path: str) -> str | None:
        tags = [decode_key(key)[1] for key, _ in self.tree.scan(*keys_of(path))]
        if len(tags) > 1:
            return _duplicate(path, tags[0], tags[1])
        for key, _ in self.tree.scan(*keys_below(path + "/")):
            return _collision(decode_key(key)[0])
        slashes = (at for at, letter in enumerate(path) if letter == "/" and at)
        return _collision(path) if any(self._file(path[:at]) for at in slashes) else None


def diff_filesets(
    old: FileSet, new: FileSet, old_path: str = "/", new_path: str | None = None, *, shallow: bool = False
) -> Iterator[tuple[Info | None, Info | None]]:
    """Yield (old, new) for each file and directory at or below the paths whose hash differs, in the order of paths.

    `new_path` is `old_path` where not given; what only one side has comes with None for the other. Shallow:
    only what lies directly in the directories (or the files themselves).
    """
    new_path = old_path if new_path is None else new_path
    if old_path == new_path and not shallow:
        pairs = _changed_pairs(old, new, old_path.rstrip("/"))
    else:
        infos = [
            files.list_dir(path)
            if shallow and (info := files.info(path)) and info.is_dir
            else files.walk(path)
            for files, path in ((old, old_path), (new, new_path))
        ]
        pairs = _matched_pairs(*infos)
    for before, after in pairs:
        if before is None or after is None or before.hash != after.hash:
            yield before, after


def _changed_pairs(old: FileSet, new: FileSet, name: str) -> Iterator[tuple[Info | None, Info | None]]:
    """Yield both sides of the files whose entries differ and of the directories that they are in."""
    shown = name  # the path before: the directories above it are done
    for start, stop in ([keys_of(name)] if name else []) + [keys_below(name + "/")]:
        changed = diff(old.tree, new.tree, start, stop)
        for path, _ in groupby(changed, key=lambda change: decode_key(change[0])[0]):
            at = path.find("/", len(name))
            while at >= 0:
                if not shown.startswith(path[: at + 1]):
                    yield old._directory(path[: at + 1]), new._directory(path[: at + 1])
                at = path.find("/", at + 1)
            yield old._file(path), new._file(path)
            shown = path


def _matched_pairs(left: Iterator[Info], right: Iterator[Info]) -> Iterator[tuple[Info | None, Info | None]]:
    """Yield Infos of equal paths together, and others alone."""
    one, other = next(left, None), next(right, None)
    while one or other:
        if other is None or (one is not None and one.path < other.path):
            yield one, None
            one = next(left, None)
        elif one is None or other.path < one.path:
            yield None, other
            other = next(right, None)
        else:
            yield one, other
            one, other = next(left, None), next(right, None)


def _file_info(pairs: Sequence[tuple[bytes, bytes]]) -> Info:
    """Return the Info of one file from its (key, value) by tag."""
    path, tag = decode_key(pairs[0][0])
    size, hash = describe_value(pairs[0][1])
    if len(pairs) > 1:
        all_of_it = [describe_value(value) for _, value in pairs]
        size, hash = sum(each for each, _ in all_of_it), hashing.merged_hash(each for _, each in all_of_it)
    return Info(path, False, size, hash, tag)


def _duplicate(path: str, one: str, other: str) -> str:
    return f"duplicate path output by different datums ({path} from {one} and {path} from {other})"


def _collision(path: str) -> str:
    return f"file / directory path collision ({path})"
