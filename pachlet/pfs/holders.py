"""Find every file that has any of some chunks: in all commits of all repos, in open commits and in file sets.

A tree's nodes are shared by many commits, and each is looked at once. What one node holds is remembered, so that a
thousand commits cost what they differ in.

Read next: purging.py (who asks), losses.py (which asks something like it of damage).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, field

from pachlet.errors import Corrupt
from pachlet.metadb.connect import Transaction as Statements
from pachlet.paths import Commit, Repo
from pachlet.pfs.index import DatabaseIndex
from pachlet.storage.content import Content, chunk_hashes
from pachlet.storage.diffs import Diff
from pachlet.storage.entries import decode_key, decode_value, references
from pachlet.storage.nodes import decode

Chunks = tuple[tuple[bytes, int], ...]


@dataclass
class Holder:
    """A path, of a repo or of a file set, at which a file has some of the chunks; `commit` is the newest that does."""

    path: str
    content: Content
    commit: Commit | None
    fileset: str = ""
    commits: int = 0


@dataclass
class Holders:
    """Who has the chunks of some contents: copies have just these bytes, others share a part of them."""

    wanted: Set[Chunks]
    found: dict[tuple[Repo | str, str, Chunks], Holder] = field(default_factory=dict)

    @property
    def copies(self) -> list[Holder]:
        return [each for each in self.found.values() if each.content.chunks in self.wanted]

    @property
    def sharing(self) -> list[Holder]:
        return [each for each in self.found.values() if each.content.chunks not in self.wanted]


def find_holders(
    db: Statements, index: DatabaseIndex, wanted: Set[Chunks], chunks: Set[bytes]
) -> Iterator[int | Holders]:
    """Yield how many commits were looked at, now and then, and at last who has any of the chunks.

    `chunks` are those of the contents `wanted` that are still there.
    """
    holders = Holders(wanted)
    walk = _Walk(index, chunks)
    for done, row in enumerate(db.all("finished_trees")):
        commit = Commit(Repo(row["project"], row["name"], row["type"]), row["id"])
        _note(holders, walk.below(row["root"]), commit=commit)
        if done % 100 == 0:
            yield done
    for row in db.all("staged_diffs"):
        commit = Commit(Repo(row["project"], row["name"], row["type"]), row["id"])
        _note(holders, walk.in_diff(row["diff"]), commit=commit)
    for row in db.all("fileset_trees"):
        _note(holders, walk.below(row["root"]), fileset=row["id"])
    for row in db.all("fileset_diffs"):
        _note(holders, walk.in_diff(row["diff"]), fileset=row["id"])
    yield holders


def _note(
    holders: Holders, found: Iterable[tuple[str, Content]], *, commit: Commit | None = None, fileset: str = ""
) -> None:
    for path, content in found:
        key = (commit.repo if commit else fileset, path, content.chunks)
        holder = holders.found.setdefault(key, Holder(path, content, commit, fileset))
        if holder.commit != commit or not holder.commits:
            holder.commits += 1
        holder.commit = commit


class _Walk:
    """Finds files below roots; damage is passed over, `fsck` tells of it."""

    def __init__(self, index: DatabaseIndex, chunks: Set[bytes]) -> None:
        self._index = index
        self._chunks = chunks
        self._clean: set[bytes] = set()
        self._found: dict[bytes, list[tuple[str, Content]]] = {}

    def below(self, hash: bytes) -> list[tuple[str, Content]]:
        if hash in self._clean:
            return []
        found = self._found.get(hash)
        if found is None:
            found = list(self._look(hash))
            if found:
                self._found[hash] = found
            else:
                self._clean.add(hash)
        return found

    def in_diff(self, data: bytes) -> Iterator[tuple[str, Content]]:
        with contextlib.suppress(Corrupt):
            for path, _, change in Diff.decode(data).changes():
                for content in change.parts:
                    if any(hash in self._chunks for hash, _ in content.chunks):
                        yield path, content

    def _look(self, hash: bytes) -> Iterator[tuple[str, Content]]:
        try:
            node = decode(self._index.get_node(hash))
        except Corrupt:
            return
        for ref in node.refs:
            yield from self.below(ref.hash)
        for key, value in zip(node.keys, node.values, strict=False):
            with contextlib.suppress(Corrupt):
                long, listed = references(value)
                if long is not None:
                    listed = self._index.get_node(long)[1:]
                if any(each in self._chunks for each in chunk_hashes(listed)):
                    yield decode_key(key)[0], decode_value(value, self._index)
