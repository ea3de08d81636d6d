"""Purge files: their bytes go everywhere, and a tombstone stays where they were.

    look      every file of every commit, open commit and file set that has any of their chunks, and log lines that
              quote them
    bury      in one transaction: the tombstones, the index forgets the chunks, the lines are rewritten. From here on
              nobody reads the bytes, and nobody can store them
    wipe      every record of these chunks is overwritten in every pack (storage/wiping.py)
    scrub     the database is written anew and its log cut off, so that neither holds what a row held once
    close     the purge is noted as done, and the data directory begins a lineage of its own: a backup into a folder
              that has the old packs would keep them, and is refused

Killed before `bury` is on disk, nothing has happened; killed after it, the next start goes on with `wipe`, which may be
done twice. Trees, commits and records are not touched: they name the file, its size and its hash, as before.

A file that has other bytes as well but shares chunks with one that goes can't be read whole afterwards. So such files
are named, and the purge is refused unless they are purged too or the caller says that this is wanted.

Read next: holders.py, quotes.py, docs/purge.md (what is promised).
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pachlet.clock import Clock
from pachlet.errors import FailedPrecondition, InvalidArgument, NotFound, Purged, Unavailable
from pachlet.ids import new_id
from pachlet.metadb.connect import Database
from pachlet.metadb.connect import Transaction as Statements
from pachlet.paths import clean_path
from pachlet.pfs.backing_up import LINEAGE
from pachlet.pfs.collecting import Progress
from pachlet.pfs.files import Files
from pachlet.pfs.holders import Chunks, Holder, Holders, find_holders
from pachlet.pfs.index import LIFTED, chunk_key
from pachlet.pfs.quotes import Quotes
from pachlet.pfs.records import CommitRecord
from pachlet.storage.chunks import ChunkStore
from pachlet.storage.content import Content
from pachlet.storage.fileset import Entry
from pachlet.storage.tombstones import Tombstone, Tombstones
from pachlet.storage.wiping import wipe

log = logging.getLogger(__name__)

_PURGE = "purge/"
_NAMED = 5
_BATCH = 5000
_PATIENCE = 60.0  # seconds, for those who read an older state of the database
_LOOK_AGAIN = 0.05


@dataclass(frozen=True)
class Purge:
    """What is noted of a purge; times are nanoseconds."""

    id: str
    time: int
    who: str
    why: str
    places: tuple[str, ...]
    """The files that were named, `project/repo@commit:/path`, in the commits that they were named in."""
    chunks: int
    bytes: int
    is_done: bool = False
    lifted_by: str = ""
    lifted: int = 0

    @property
    def tombstone(self) -> Tombstone:
        """Return what each of its chunks tells."""
        more = f" with {len(self.places) - 1} more" if len(self.places) > 1 else ""
        when = datetime.fromtimestamp(self.time // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return Tombstone(self.id, self.places[0] + more, when, self.who, self.why, bool(self.lifted))

    def encode(self) -> str:
        return json.dumps(self.__dict__)

    @classmethod
    def decode(cls, text: str) -> Purge:
        data = json.loads(text)
        return cls(**{**data, "places": tuple(data["places"])})


@dataclass
class PurgeReport:
    """What a purge took, or would take."""

    dry_run: bool
    holders: Holders
    chunks: int = 0
    bytes: int = 0
    quotes: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Log lines, and reasons of jobs, that quote the files, by pipeline and job."""
    looked_for_all: bool = True
    uploads: int = 0
    """Uploads and datums in progress that have some of the chunks: they will fail."""
    running_jobs: int = 0
    records: int = 0
    """Places in packs that were overwritten."""
    purge: Purge | None = None


@dataclass
class _Rewriting:
    """Lines that quote what goes, by key."""

    logs: list[int] = field(default_factory=list)
    reasons: list[int] = field(default_factory=list)


class Purger:
    """Purges files of one data directory, one purge at a time."""

    def __init__(
        self, database: Database, files: Files, clock: Clock, let_go: Callable[[], None] = lambda: None
    ) -> None:
        """Make a purger; `let_go` has workers remove what datums that are over were given."""
        self._let_go = let_go
        self._database = database
        self._files = files
        self._store = files.store
        self._clock = clock

    def purge(
        self,
        named: Sequence[tuple[CommitRecord, str]],
        *,
        who: str,
        why: str,
        include_shared: bool = False,
        include_logs: bool = False,
        dry_run: bool = False,
    ) -> Iterator[Progress | PurgeReport]:
        """Yield progress and at last the report. Leaving the iteration ends it before anything is buried, or not.

        Raises:
            InvalidArgument: nothing was named, or without a reason or an author, or a file is empty.
            NotFound: there is no such file.
            FailedPrecondition: files that are not to go share chunks with those that are, or they are purged already,
                or a collection or a backup is running.
        """
        why, who = why.strip(), who.strip()
        if not named or not (why and who):
            raise InvalidArgument("a purge needs files, a reason and an author", hint="say why with --reason")
        with self._store.upkeep(), self._store.leases.publishing("a purge"):
            places, contents = self._contents(named)
            chunks = self._left(contents)
            report = yield from self._look(contents, chunks, dry_run=dry_run)
            quotes, rewriting = Quotes(), _Rewriting()
            for content in contents:
                with contextlib.suppress(Purged):  # in part, or before it was lifted
                    quotes.add(self._files.read(content))
            report.looked_for_all = quotes.is_whole
            if quotes:
                yield Progress("searching logs")
                self._search(quotes, report, rewriting)
            if not dry_run:
                if report.holders.sharing and not include_shared:
                    raise _shared(report.holders.sharing)
                purge = Purge(new_id(), self._clock.now(), who, why, places, report.chunks, report.bytes)
                self._bury(purge, set(chunks), rewriting if include_logs else _Rewriting())
                report.records = yield from self._finish(purge)
                with self._database.read() as db:
                    report.purge = find_purge(db, purge.id)
        yield report

    def lift(self, id: str, who: str) -> Purge:
        """Let the bytes of a purge be stored again; what is gone stays gone.

        Raises:
            NotFound: there is no such purge.
            FailedPrecondition: it is not done: what is put now would be wiped with the rest.
        """
        with self._database.write() as db:
            purge = find_purge(db, id)
            if not purge.is_done:
                raise FailedPrecondition(
                    f"purge {purge.id} is not done, and would take what is put again, too",
                    hint="wait until it is over; one that broke off goes on when the server starts again",
                )
            if not purge.lifted:
                purge = Purge(**{**purge.__dict__, "lifted_by": who, "lifted": self._clock.now()})
                hashes = _chunks_of(db, purge.id)
                db.many("bury_chunk", [(chunk_key(hash), f"{purge.id} {LIFTED}") for hash in hashes])
                db.run("put_setting", key=f"{_PURGE}{purge.id}", value=purge.encode())
                db.after_commit(lambda: self._store.bury(purge.tombstone, hashes))
        return purge

    def _contents(self, named: Sequence[tuple[CommitRecord, str]]) -> tuple[tuple[str, ...], list[Content]]:
        """Return the names of the files and their contents, each once."""
        places: dict[str, None] = {}
        contents: dict[Chunks, Content] = {}
        for record, path in named:
            with self._database.read() as db:
                files = self._files.open_commit(db, record)
            path = clean_path(path)
            entries: list[Entry] = files.file(path)
            if not entries:
                entries = list(files.entries("/" if path == "/" else path + "/"))
            if not entries:
                raise NotFound(
                    f"file {path} not found in repo {record.commit.repo} at commit {record.commit.id}"
                )
            for entry in entries:
                if entry.content.chunks:
                    places[f"{record.commit}:{entry.path}"] = None
                    contents[entry.content.chunks] = entry.content
        if not contents:
            raise InvalidArgument("the files are empty: there are no bytes to purge", hint="delete them")
        return tuple(places), list(contents.values())

    def _left(self, contents: Iterable[Content]) -> dict[bytes, int]:
        """Return the chunks that were not purged before, with their lengths."""
        tombstones = self._store.tombstones
        chunks = {hash: length for content in contents for hash, length in content.chunks}
        found = {hash: tombstones.get(hash) for hash in chunks}
        left = {hash: chunks[hash] for hash, each in found.items() if each is None or each.is_lifted}
        if not left:
            raise FailedPrecondition(f"nothing is left of it: {next(iter(found.values()))}")
        return left

    def _look(
        self, contents: Sequence[Content], chunks: dict[bytes, int], *, dry_run: bool
    ) -> Generator[Progress, None, PurgeReport]:
        with self._database.read() as db:
            for found in find_holders(
                db, self._files.index, {each.chunks for each in contents}, chunks.keys()
            ):
                if isinstance(found, Holders):
                    report = PurgeReport(dry_run, found)
                else:
                    yield Progress("looking for it in commits", found)
            report.running_jobs = db.value("count_running_jobs")
        report.chunks, report.bytes = len(chunks), sum(chunks.values())
        report.uploads = sum(any(each.has_put(hash) for hash in chunks) for each in self._store.writers())
        return report

    def _finish(self, purge: Purge) -> Generator[Progress, None, int]:
        self._let_go()
        records, steps = 0, finish_purge(self._database, self._store, purge.id)
        try:
            for step in steps:
                if isinstance(step, Progress):
                    yield step
                else:
                    records = step
        except GeneratorExit:  # whoever asked has gone away; what is buried is wiped all the same
            for _ in steps:
                pass
            raise
        return records

    def _search(self, quotes: Quotes, report: PurgeReport, rewriting: _Rewriting) -> None:
        after = 0
        while True:
            with self._database.read() as db:
                rows = db.all("unread_logs", after=after, number=_BATCH)
            if not rows:
                break
            after = rows[-1]["key"]
            for row in rows:
                if quotes.are_in(row["message"]):
                    rewriting.logs.append(row["key"])
                    report.quotes[f"{row['project']}/{row['name']}", row["job"]] += 1
        with self._database.read() as db:
            for row in db.all("job_reasons"):
                if quotes.are_in(row["reason"]):
                    rewriting.reasons.append(row["key"])
                    report.quotes[f"{row['project']}/{row['name']}", row["id"]] += 1

    def _bury(self, purge: Purge, hashes: set[bytes], rewriting: _Rewriting) -> None:
        instead = f"(purged: {purge.id})"
        with self._database.write() as db:
            db.run("put_setting", key=f"{_PURGE}{purge.id}", value=purge.encode())
            db.many("bury_chunk", [(chunk_key(hash), purge.id) for hash in hashes])
            db.many("delete_chunk", [(hash,) for hash in hashes])
            db.many("rewrite_log", [(instead, key) for key in rewriting.logs])
            db.many("rewrite_reason", [(instead, key) for key in rewriting.reasons])
            db.after_commit(lambda: self._store.bury(purge.tombstone, hashes))


def load_tombstones(database: Database) -> Tombstones:
    """Return the tombstones of all chunks that were purged."""
    with database.read() as db:
        stones = {each.id: each.tombstone for each in all_purges(db)}
        rows = db.all("purged_chunks")
    return Tombstones({bytes.fromhex(row["hash"]): stones[row["value"].split()[0]] for row in rows})


def finish_purges(database: Database, store: ChunkStore) -> None:
    """Finish the purges that were begun when the server ended; one that can't be is begun still, and said to be."""
    with database.read() as db:
        begun = [each for each in all_purges(db) if not each.is_done]
    for each in begun:
        log.info("purge %s, which was begun at %s, goes on", each.id, each.tombstone.when)
        try:
            for _ in finish_purge(database, store, each.id):
                pass
        except Unavailable as trouble:  # one bad sector shall not take everything else from everybody
            log.error("purge %s is not done: %s; %s", each.id, trouble.message, trouble.hint)


def finish_purge(database: Database, store: ChunkStore, id: str) -> Iterator[Progress | int]:
    """Wipe what a purge buried, scrub the database and note that it is done; yield at last how much was wiped.

    Raises:
        Unavailable: the disk is full or ill, or somebody reads an old state of the database for too long. The next
            start of the server goes on.
    """
    with database.read() as db:
        hashes = set(_chunks_of(db, id))
    records = 0
    for wiped in wipe(store, hashes):
        records = wiped.records
        yield Progress("overwriting", wiped.done, wiped.total)
    waited, pause = 0.0, threading.Event()
    yield Progress("writing the database anew")
    while not database.scrub():
        if waited >= _PATIENCE:
            raise Unavailable(
                "the files are purged, but the database's log can't be cut off: somebody reads an old state of it",
                hint="start the server again, which finishes the purge",
            )
        yield Progress("waiting for those who read an old state of the database")
        pause.wait(_LOOK_AGAIN)
        waited += _LOOK_AGAIN
    with database.write() as db:
        purge = find_purge(db, id)
        done = Purge(**{**purge.__dict__, "is_done": True})
        db.run("put_setting", key=f"{_PURGE}{id}", value=done.encode())
        db.run("put_setting", key=LINEAGE, value=new_id())
    yield records


def all_purges(db: Statements) -> list[Purge]:
    """Return every purge, oldest first."""
    return sorted((Purge.decode(row["value"]) for row in db.all("all_purges")), key=lambda each: each.time)


def find_purge(db: Statements, id: str) -> Purge:
    """Return a purge by its id, or what that begins with; raise NotFound."""
    found = [each for each in all_purges(db) if id and each.id.startswith(id)]
    if len(found) != 1:
        raise NotFound(
            f"there is no purge {id}" if not found else f"{len(found)} purges begin with {id}",
            hint="`pachlet purge --list` shows them",
        )
    return found[0]


def _chunks_of(db: Statements, id: str) -> list[bytes]:
    return [bytes.fromhex(row["hash"]) for row in db.all("purged_chunks") if row["value"].split()[0] == id]


def _shared(sharing: Sequence[Holder]) -> FailedPrecondition:
    names = [f"{each.commit or 'file set ' + each.fileset}:{each.path}" for each in sharing]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return FailedPrecondition(
        f"{len(names)} other files share a part of these bytes and could not be read whole any more:"
        f" {', '.join(names[:_NAMED])}{more}",
        hint="name them, too, if all of them is to go; or --include-shared takes just the part that they share",
    )
