"""Tell whose the stored bytes are.

Repos share what they have in common, so a repo's size on disk has two parts: what is stored for it alone and
would come back if it were deleted, and what others need as well. Counted are the payloads of chunks as they
lie in packs, with their records' heads, and the nodes of trees.

Read next: storage/marking.py (how a tree is followed), collecting.py (how space comes back).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from pachlet.metadb.connect import Database, Row
from pachlet.metadb.connect import Transaction as Statements
from pachlet.paths import Repo
from pachlet.pfs.index import DatabaseIndex
from pachlet.storage.chunks import ChunkStore
from pachlet.storage.diffs import Diff
from pachlet.storage.marking import Marks
from pachlet.storage.packs import RECORD_OVERHEAD

_BATCH = 10_000
_SHARED = -1


@dataclass(frozen=True)
class RepoUsage:
    """What one repo shows and what it takes."""

    repo: Repo
    head: int
    logical: int
    unique: int
    shared: int
    commits: int


@dataclass(frozen=True)
class Totals:
    """What the data directory takes; `other` is what no repo refers to."""

    stored: int
    other: int
    packs: int
    database: int


def disk_usage(database: Database, store: ChunkStore) -> Iterator[RepoUsage | Totals]:
    """Yield each repo that has commits, then the totals."""
    with store.leases.publishing("a look at disk usage"), database.read() as db:
        sizes = _stored_sizes(db)
        repos = {row["key"]: row for row in db.all("all_repos")}
        heads = {row["repo"]: row["size"] for row in db.all("head_sizes")}
        trees = {
            repo: list(rows) for repo, rows in groupby(db.all("trees_of_repos"), lambda row: int(row["repo"]))
        }
        diffs = {
            repo: list(rows) for repo, rows in groupby(db.all("diffs_of_repos"), lambda row: int(row["repo"]))
        }
        owner: dict[bytes, int] = {}
        whole: Counter[int] = Counter()
        for key in repos:
            for hash in _reach(database, db, trees.get(key, []), diffs.get(key, [])):
                owner[hash] = key if hash not in owner else _SHARED
                whole[key] += sizes.get(hash, 0)
        unique: Counter[int] = Counter()
        for hash, key in owner.items():
            unique[key] += sizes.get(hash, 0)
        for key, row in repos.items():
            if key not in trees and key not in diffs:
                continue
            yield RepoUsage(
                repo=Repo(row["project"], row["name"], row["type"]),
                head=heads.get(key, 0),
                logical=sum(tree["size"] for tree in trees.get(key, [])),
                unique=unique[key],
                shared=whole[key] - unique[key],
                commits=len(trees.get(key, [])),
            )
    stored = unique.total()
    packs = sum(path.stat().st_size for path in store.directory.iterdir())
    yield Totals(stored, sum(sizes.values()) - stored, packs, database.size())


def _reach(database: Database, db: Statements, trees: list[Row], diffs: list[Row]) -> set[bytes]:
    """Return the hashes of all chunks and nodes that a repo's commits need."""
    marks = Marks(DatabaseIndex(database))
    for row in trees:
        marks.add_tree(row["root"])
    for row in diffs:
        data = db.value("get_diff", key=row["key"])
        if data is not None:
            marks.add_diff(Diff.decode(data))
    return marks.chunks | marks.nodes


def _stored_sizes(db: Statements) -> dict[bytes, int]:
    """Return how much each chunk and node takes, by hash."""
    sizes: dict[bytes, int] = {}
    for statement in ("chunks_after", "nodes_after"):
        after = b""
        while rows := db.all(statement, after=after, number=_BATCH):
            for row in rows:
                sizes[row["hash"]] = (
                    row["size"] if statement == "nodes_after" else RECORD_OVERHEAD + row["stored"]
                )
            after = rows[-1]["hash"]
    return sizes
