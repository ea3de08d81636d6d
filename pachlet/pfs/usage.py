"""Tell whose the stored bytes are.

Repos share what they have in common, so a repo's size on disk has two parts: what is stored for it alone and
would come back if it were deleted, and what others need as well. Counted are the payloads of chunks as they
lie in packs, with their records' heads, and the nodes of trees. All of it is gathered before any is told, so that
whoever reads it slowly keeps nothing waiting.

Read next: storage/marking.py (how a tree is followed), collecting.py (how space comes back).
"""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import dataclass
from itertools import groupby

from pachlet.errors import Corrupt
from pachlet.metadb.connect import Database, Row
from pachlet.metadb.connect import Transaction as Statements
from pachlet.paths import Repo
from pachlet.pfs.index import DatabaseIndex
from pachlet.storage.chunks import ChunkStore
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
    """What the data directory takes; `other` is what no repo refers to.

    What lies below `damaged` nodes of trees is not known and counts as `other`.
    """

    stored: int
    other: int
    packs: int
    database: int
    damaged: int


def disk_usage(database: Database, store: ChunkStore) -> tuple[list[RepoUsage], Totals]:
    """Return what each repo takes that has commits, and the totals."""
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
        damaged: set[bytes] = set()
        whole: Counter[int] = Counter()
        for key in repos:
            marks = _reach(database, db, trees.get(key, []), diffs.get(key, []))
            damaged.update(marks.damaged)
            for hash in marks.chunks | marks.nodes:
                owner[hash] = key if hash not in owner else _SHARED
                whole[key] += sizes.get(hash, 0)
        unique: Counter[int] = Counter()
        for hash, key in owner.items():
            unique[key] += sizes.get(hash, 0)
    usage = [
        RepoUsage(
            repo=Repo(row["project"], row["name"], row["type"]),
            head=heads.get(key, 0),
            logical=sum(tree["size"] for tree in trees.get(key, [])),
            unique=unique[key],
            shared=whole[key] - unique[key],
            commits=len(trees.get(key, [])),
        )
        for key, row in repos.items()
        if key in trees or key in diffs
    ]
    stored = unique.total()
    packs = sum(path.stat().st_size for path in store.directory.iterdir())
    return usage, Totals(stored, sum(sizes.values()) - stored, packs, database.size(), damaged=len(damaged))


def _reach(database: Database, db: Statements, trees: list[Row], diffs: list[Row]) -> Marks:
    """Return the chunks and nodes that a repo's commits need."""
    marks = Marks(DatabaseIndex(database))
    for row in trees:
        marks.add_tree(row["root"])
    for row in diffs:
        data = db.value("get_diff", key=row["key"])
        if data is not None:
            with contextlib.suppress(Corrupt):
                marks.add_diff(data)
    return marks


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
