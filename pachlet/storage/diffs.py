"""Diffs: what was appended and deleted, in order, collapsed to what comes of it.

A diff is what one ModifyFile call or one datum's output amounts to; an open commit is a base and a list of
diffs. Order matters per path only, so a diff keeps, for each file, whether the base's entry still counts
and what is appended, and the directories whose content in the base is gone. A deletion of a directory is
noted, not spread over the files below it: a file's changes from before it no longer count, which shows in
the order of the two.

    diff   = version u8 | directories u32 | files u32 | directory* | file*
    file   = path | tag | replaces u8 | parts u32 | part*

Strings and parts (lists of chunks) follow their lengths as u32; numbers are little-endian.

Read next: fileset.py (what diffs are applied to).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain

from pachlet import errors
from pachlet.storage.chunks import ChunkStore, ChunkWriter
from pachlet.storage.content import Content, concat
from pachlet.storage.entries import decode_value, encode_key, encode_value, keys_below
from pachlet.storage.nodes import MemoryNodes
from pachlet.storage.tree import Tree

_HEAD = struct.Struct("<BII")
_VERSION = 1
_U32 = struct.Struct("<I")
_FILE = struct.Struct("<BI")
_GETS_WORTH_A_SCAN = 8  # so many entries can be passed by in the time of one look-up


@dataclass(slots=True)
class _Change:
    """What becomes of one file; `since` tells its first operation's place in the order."""

    since: int
    replaces: bool
    parts: list[Content] = field(default_factory=list)


class Diff:
    """Operations on files, in order. Paths are in normal form; tags are not empty."""

    def __init__(self) -> None:
        self._now = 0
        self._trees: dict[str, int] = {}
        self._files: dict[tuple[str, str], _Change] = {}

    def append(self, path: str, tag: str, content: Content) -> None:
        """Append to a file, which comes into being if it is not there."""
        self._change(path, tag).parts.append(content)

    def delete_file(self, path: str, tag: str) -> None:
        """Delete what one tag wrote of a file, if anything."""
        change = self._change(path, tag)
        change.replaces = True
        change.parts.clear()

    def replace_file(self, path: str, tag: str, content: Content) -> None:
        """Make what one tag wrote of a file be this content and no other."""
        change = self._change(path, tag)
        change.replaces = True
        change.parts = [content]

    def delete_tree(self, prefix: str) -> None:
        """Delete all files below a directory ("/" or ending with "/"), whatever their tags."""
        self._now += 1
        self._trees[prefix] = self._now

    def extend(self, later: Diff) -> None:
        """Add the operations of another diff behind those of this one."""
        for prefix in later.trees():
            self.delete_tree(prefix)
        for path, tag, change in later.changes():
            if not self._trees and (path, tag) not in self._files:
                self._now += 1
                self._files[path, tag] = _Change(self._now, change.replaces, list(change.parts))
                continue
            if change.replaces:
                self.delete_file(path, tag)
            if change.parts:
                self._change(path, tag).parts.extend(change.parts)

    def adopt(self, path: str, tag: str, change: _Change) -> None:
        """Take over what becomes of a file from another diff; both have it then."""
        self._files[path, tag] = change

    def trees(self) -> list[str]:
        """Return the directories below which nothing of the base is left."""
        return sorted(self._trees)

    def changes(self) -> Iterator[tuple[str, str, _Change]]:
        """Yield path, tag and what becomes of it, for each file with operations after its directories' deletion."""
        for (path, tag), change in self._files.items():
            if change.since > self._deleted(path):
                yield path, tag, change

    def encode(self) -> bytes:
        """Return the diff as bytes."""
        trees, changes = self.trees(), sorted(self.changes(), key=lambda change: change[:2])
        parts = [_HEAD.pack(_VERSION, len(trees), len(changes))]
        parts += [_string(prefix.encode()) for prefix in trees]
        for path, tag, change in changes:
            parts += [
                _string(path.encode()),
                _string(tag.encode()),
                _FILE.pack(change.replaces, len(change.parts)),
            ]
            parts += [_string(content.encode()) for content in change.parts]
        return b"".join(parts)

    @classmethod
    def decode(cls, data: bytes) -> Diff:
        """Return the diff that was encoded.

        Raises:
            Corrupt: the bytes are none.
        """
        try:
            return cls._decode(data)
        except (struct.error, UnicodeDecodeError) as error:
            raise errors.Corrupt("the stored changes of an open commit are damaged") from error

    @classmethod
    def _decode(cls, data: bytes) -> Diff:
        diff = cls()
        version, trees, files = _HEAD.unpack_from(data)
        if version != _VERSION:
            raise errors.Corrupt(f"the stored changes of an open commit have an unknown version ({version})")
        at = _HEAD.size
        for _ in range(trees):
            prefix, at = _read_string(data, at)
            diff.delete_tree(prefix.decode())
        for _ in range(files):
            path, at = _read_string(data, at)
            tag, at = _read_string(data, at)
            replaces, parts = _FILE.unpack_from(data, at)
            at += _FILE.size
            diff._now += 1
            change = diff._files[path.decode(), tag.decode()] = _Change(diff._now, bool(replaces))
            for _ in range(parts):
                part, at = _read_string(data, at)
                change.parts.append(Content.decode(part))
        return diff

    def _change(self, path: str, tag: str) -> _Change:
        deleted = self._deleted(path)
        change = self._files.get((path, tag))
        if change is None or change.since < deleted:
            self._now += 1
            change = self._files[path, tag] = _Change(self._now, replaces=deleted > 0)
        return change

    def _deleted(self, path: str) -> int:
        """Return when a directory above `path` was last deleted, 0 if none was."""
        trees = self._trees
        if not trees:
            return 0
        last = trees.get("/", 0)
        if (
            len(trees) > 1 or not last
        ):  # a job's output most often is all of the base's, deleted, and what is new
            at = path.find("/", 1)
            while at > 0:
                last = max(last, trees.get(path[: at + 1], 0))
                at = path.find("/", at + 1)
        return last


def leave_out_idle(diff: Diff, tree: Tree) -> Diff:
    """Return a diff without the files that it replaces by what is there already, which is the same on this tree.

    So a folder that is put again costs what has changed in it.
    """
    changes = list(diff.changes())
    if diff.trees() or not changes or tree.root is None:
        return diff
    keys = [encode_key(path, tag) for path, tag, _ in changes]
    first, last = min(keys), max(keys) + b"\0"
    find: Callable[[bytes], bytes | None] = tree.get
    if len(keys) * _GETS_WORTH_A_SCAN > tree.measure(first, last)[0]:
        find = dict(tree.scan(first, last)).get
    needed, nodes = Diff(), MemoryNodes()
    for key, (path, tag, change) in zip(keys, changes, strict=True):
        before = find(key)
        is_idle = change.replaces and (
            before == encode_value(change.parts[0], nodes)
            if len(change.parts) == 1
            else before is None and not change.parts
        )
        if not is_idle:
            needed.adopt(path, tag, change)
    return needed


def apply_diffs(
    tree: Tree, diffs: Iterable[Diff], store: ChunkStore, writer: ChunkWriter | None = None
) -> Tree:
    """Return the file tree after diffs, one behind the other.

    New nodes go to the tree's node store. Where a file is appended to, `writer` stores what has to be cut
    anew, so that content stays canonical. Without a writer nothing is stored and such files have the chunks
    of their parts: good for reading an open commit, whose hashes then may differ from those it will be
    finished with.
    """
    diffs = list(diffs)
    whole = diffs[0] if len(diffs) == 1 else Diff()
    for diff in diffs if len(diffs) > 1 else []:
        whole.extend(diff)
    edits: dict[bytes, bytes | None] = {}
    for prefix in whole.trees():
        if prefix == "/":
            tree = tree.cleared()
        edits.update((key, None) for key, _ in tree.scan(*keys_below(prefix)))
    for path, tag, change in whole.changes():
        key = encode_key(path, tag)
        parts = list(change.parts)
        base = None if change.replaces else tree.get(key)
        if base is not None:
            parts.insert(0, decode_value(base, tree.nodes))
        edits[key] = encode_value(_join(parts, store, writer), tree.nodes) if parts else None
    return tree.apply(sorted(edits.items()))


def _join(parts: list[Content], store: ChunkStore, writer: ChunkWriter | None) -> Content:
    if writer is not None:
        return concat(store, writer, parts)
    return parts[0] if len(parts) == 1 else Content.of(chain.from_iterable(part.chunks for part in parts))


def _string(data: bytes) -> bytes:
    return _U32.pack(len(data)) + data


def _read_string(data: bytes, at: int) -> tuple[bytes, int]:
    start = at + _U32.size
    end = start + _U32.unpack_from(data, at)[0]
    if end > len(data):
        raise struct.error("string is cut short")
    return data[start:end], end
