"""Say which commits and files are hurt by nodes that can't be read and chunks that are lost.

Who finds damage knows hashes; an owner knows files. So when there is damage, and only then, all trees are walked
once more, each node once however many commits share it, and what is found is told by commit and path. Of a damaged
node only its place in the tree is known, so what it held is told as a range of paths.

Read next: checking.py, collecting.py and backing_up.py (who finds damage).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from pachlet.errors import Corrupt
from pachlet.metadb.connect import Database, Row
from pachlet.paths import Commit, Repo
from pachlet.pfs.index import DatabaseIndex
from pachlet.storage.content import chunk_hashes
from pachlet.storage.diffs import Diff
from pachlet.storage.entries import decode_key, references
from pachlet.storage.nodes import decode

_MOST_NAMED = 10
"""So many files of a commit are named for one reason, and the rest counted."""


class _Loss(NamedTuple):
    """Files (a path, or some words for more of them), and why they can't be read."""

    files: str
    why: str


def name_losses(database: Database, nodes: Mapping[bytes, str], chunks: Mapping[bytes, str]) -> Iterator[str]:
    """Yield a sentence for what commits have lost with these nodes and chunks, each given with what is wrong."""
    walk = _Walk(DatabaseIndex(database), nodes, chunks)
    with database.read() as db:
        rows = db.all("finished_trees") if nodes or chunks else []
    hurt: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        by_reason = groupby(
            sorted(walk.below_root(row["root"]), key=attrgetter("why")), key=attrgetter("why")
        )
        for why, losses in by_reason:
            hurt.setdefault((_files([each.files for each in losses]), why), []).append(row)
    for (files, why), found in hurt.items():
        repos = groupby(found, key=lambda row: (row["project"], row["name"], row["type"]))
        for _, few in repos:
            first, *others = few
            more = f" (and of {len(others)} more commits of the repo)" if others else ""
            yield f"{commit_name(first)}: {files}{more}: {why}"
    with database.read() as db:
        for row in db.all("staged_diffs"):
            if (sentence := _staged_loss(row["diff"], chunks)) is not None:
                yield f"{commit_name(row)}: {sentence}"


def commit_name(row: Row) -> str:
    """Return how a commit is named in a sentence; the row has its id and its repo's names."""
    return f"commit {Commit(Repo(row['project'], row['name'], row['type']), row['id'])}"


def _files(names: list[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _staged_loss(diff: bytes, chunks: Mapping[bytes, str]) -> str | None:
    """Return what is wrong with what was written to a commit that is not settled."""
    try:
        changes = Diff.decode(diff).changes()
    except Corrupt as error:
        return error.message
    losses = [
        _Loss(path, chunks[digest])
        for path, _, change in changes
        for content in change.parts
        for digest, _ in content.chunks
        if digest in chunks
    ]
    return f"{_files(sorted({each.files for each in losses}))}: {losses[0].why}" if losses else None


class _Walk:
    """Finds losses below roots; what trees share is looked at once."""

    def __init__(self, index: DatabaseIndex, nodes: Mapping[bytes, str], chunks: Mapping[bytes, str]) -> None:
        self._index = index
        self._nodes = nodes
        self._chunks = chunks
        self._clean: set[bytes] = set()
        self._hurt: dict[bytes, list[_Loss]] = {}

    def below_root(self, root: bytes) -> list[_Loss]:
        """Return what a tree has lost."""
        if root in self._nodes:
            return [_Loss("all files", self._nodes[root])]
        return self._below(root)

    def _below(self, hash: bytes) -> list[_Loss]:
        if hash in self._clean:
            return []
        found = self._hurt.get(hash)
        if found is None:
            found = self._look(hash)
            if found:
                self._hurt[hash] = found
            else:
                self._clean.add(hash)
        return found

    def _look(self, hash: bytes) -> list[_Loss]:
        try:
            node = decode(self._index.get_node(hash))
        except Corrupt as error:  # damaged since somebody looked
            return [_Loss("some files", error.message)]
        found: list[_Loss] = []
        before = b""
        for key, ref in zip(node.keys, node.refs, strict=False):
            why = self._nodes.get(ref.hash)
            found += [_Loss(_range(before, key), why)] if why is not None else self._below(ref.hash)
            before = key
        for key, value in zip(node.keys, node.values, strict=False):
            why = self._of_value(value)
            if why is not None:
                found.append(_Loss(decode_key(key)[0], why))
        return found

    def _of_value(self, value: bytes) -> str | None:
        """Return why a file can't be read whole, None if it can."""
        hash, listed = references(value)
        if hash is not None:
            if hash in self._nodes:
                return self._nodes[hash]
            if not self._chunks:
                return None
            try:
                listed = self._index.get_node(hash)[1:]
            except Corrupt as error:
                return error.message
        if not self._chunks:
            return None
        return next((self._chunks[each] for each in chunk_hashes(listed) if each in self._chunks), None)


def _range(before: bytes, last: bytes) -> str:
    until = decode_key(last)[0]
    return f"the files after {decode_key(before)[0]} up to {until}" if before else f"the files up to {until}"
