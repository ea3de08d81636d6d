"""Deliver the output of a pipeline's job to where its spec says, before the job is finished.

As in Pachyderm, the job is EGRESSING meanwhile, all files of its output are written, and what was written there before
under other paths stays. What may go by itself (no connection, a lock) is tried again, later and later, with the reason
in the job and in the pipeline's log; what somebody has to mend ends the job. A server that stops in between begins the
delivery again: a file or a table that is there already is written once more, to the same end.

Read next: running.py (who calls), egress_spec.py, ../egress/object_store.py, ../egress/tables.py.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from pachlet.egress.database_url import parse_database_url
from pachlet.egress.object_store import Bucket
from pachlet.egress.object_url import parse_object_url
from pachlet.egress.outgoing import Halt, Outgoing, Outlets
from pachlet.egress.tables import write_tables
from pachlet.errors import PachletError, Unavailable
from pachlet.metadb.connect import Rollback
from pachlet.metadb.connect import Transaction as Statements
from pachlet.pfs import commits
from pachlet.pfs.files import Files
from pachlet.pps import jobs
from pachlet.pps.egress_spec import format_of, store_url
from pachlet.pps.engine import Engine
from pachlet.pps.jobs import JobRecord
from pachlet.pps.logbook import Source
from pachlet.pps.permits import amount
from pachlet.pps.pipelines import PipelineRecord
from pachlet.pps.secrets import secret_value, transform_secrets
from pachlet.pps.states import JobState
from pachlet.storage.entries import Entry
from pachlet.storage.fileset import FileSet

_FIRST, _LONGEST = 1.0, 60.0
"""Seconds until a delivery is tried again: twice as long each time."""
_PATIENCE = 3600.0
"""Seconds without any progress after which a job gives up."""
_SAY_EVERY = 10.0
_SECOND = 1_000_000_000
WAITS_FOR_ITS_TURN = "waiting for its turn to egress"
"""What a job says that is EGRESSING, until a thread is free for it."""


def outgoing_files(files: Files, entries: Iterable[Entry]) -> Iterator[Outgoing]:
    """Yield the files that entries in the order of paths are of; one that several datums wrote is all of it."""
    for path, group in itertools.groupby(entries, key=lambda entry: entry.path):
        contents = [entry.content for entry in group]

        def read(contents: Any = contents) -> Iterator[bytes]:
            return itertools.chain.from_iterable(files.read(each) for each in contents)

        yield Outgoing(path, sum(each.size for each in contents), read)


class Delivery:
    """The egress of one job; `deliver` is called until it says that it is done, or raises."""

    def __init__(self, engine: Engine, job: JobRecord, pipeline: PipelineRecord) -> None:
        self._engine = engine
        self._job = job
        self._spec = pipeline.spec
        self._source = Source(job.pipeline, job.id)
        self._halt = Halt()
        self._is_begun = False
        self._done = 0
        self._bytes = 0
        self._wait = _FIRST
        self._progress = self._said = engine.clock.now()

    def stop(self) -> None:
        """Break it off."""
        self._halt.set()

    def deliver(self) -> int | None:
        """Deliver what is left; return None if that was all, else when to go on.

        Raises:
            PachletError: it won't work until somebody mends something.
            Halted: it was stopped.
        """
        if not self._is_begun:
            self._is_begun = True
            self._set_reason("")  # its turn has come; from then on, a reason stays until there is another
        try:
            try:
                self._deliver()
            except Unavailable as trouble:
                return self._try_again(trouble)
        except PachletError as error:
            raise type(error)(f"egress failed: {error.message}", hint=error.hint) from None
        return None

    def _try_again(self, trouble: Unavailable) -> int:
        now = self._engine.clock.now()
        if now - self._progress > _PATIENCE * _SECOND:
            text = f"it was tried for {_PATIENCE / 60:.0f} minutes: {trouble.message}"
            raise Unavailable(text, hint=trouble.hint) from None
        self._set_reason(f"egress is tried again: {trouble.message}")
        self._say(f"egress: {trouble.message}; trying again in {self._wait:g} s")
        wait, self._wait = self._wait, min(2 * self._wait, _LONGEST)
        return now + int(wait * _SECOND)

    def _deliver(self) -> None:
        with self._engine.database.read() as db:
            record = commits.get_commit(db, self._job.output)
            base = commits.finished_base(db, record)
            files = self._engine.files.open_commit(db, record)
            outlets = _with_own(db, self._spec, self._engine.outlets)
        if files.validate(since=self._engine.files.open_finished(base.root if base else None)):
            return  # the commit ends with that as its error, and so does the job
        found = outgoing_files(self._engine.files, files.entries())
        if store := store_url(self._spec["egress"]):
            url = parse_object_url(store)
            self._say_begin(files, url)
            left = itertools.islice(found, self._done, None)
            Bucket(url, outlets, self._halt).put_all(left, self._count)
            self._say(f"egressed {self._done} files, {amount(self._bytes)}, to {url}")
        else:
            self._fill_tables(files, found, outlets)

    def _fill_tables(self, files: FileSet, found: Iterator[Outgoing], outlets: Outlets) -> None:
        database = self._spec["egress"]["sql_database"]
        url = parse_database_url(database["url"])
        with self._engine.database.read() as db:
            password = password_of(db, database)
        self._done = self._bytes = 0
        self._say_begin(files, url)
        rows = write_tables(url, password, outlets, format_of(database), found, self._halt, self._count_read)
        counts = ", ".join(f"{count} rows to table {name}" for name, count in rows.items())
        self._say(f"egressed {counts or 'nothing'}, to {url}")

    def _say_begin(self, files: FileSet, url: object) -> None:
        if not self._done:
            count, size = files.tree.measure()
            self._say(f"egressing {count} files, {amount(size)}, to {url}")

    def _count(self, file: Outgoing) -> None:
        """Take note of a file that is where it should be."""
        self._wait = _FIRST
        self._progress = self._engine.clock.now()
        self._count_read(file)

    def _count_read(self, file: Outgoing) -> None:
        """Take note of a file that is read; what becomes of it is known when all are."""
        self._done += 1
        self._bytes += file.size
        now = self._engine.clock.now()
        if now - self._said > _SAY_EVERY * _SECOND:
            self._say(f"egress: {self._done} files, {amount(self._bytes)} so far")

    def _say(self, line: str) -> None:
        self._said = self._engine.clock.now()
        self._engine.logbook.master(self._source, line)

    def _set_reason(self, reason: str) -> None:
        with self._engine.transactions.start() as txn:
            if jobs.get_job(txn.db, self._job.key).state != JobState.EGRESSING:
                raise Rollback
            jobs.start_egress(txn, self._job, reason)


def password_of(db: Statements, database: Mapping[str, Any]) -> str:
    """Return the password of an egress to a database, '' if it names no secret; raise Refused where it is missing."""
    secret = database.get("secret") or {}
    if not secret.get("name"):
        return ""
    return secret_value(db, secret["name"], secret.get("key", "")).decode("utf-8", "surrogateescape")


def _with_own(db: Statements, spec: Mapping[str, Any], outlets: Outlets) -> Outlets:
    """Return what a pipeline's egress may use: the server's variables, or instead of them those of its transform."""
    own = {**(spec["transform"].get("env") or {}), **transform_secrets(db, spec).environ}
    return replace(outlets, environ={**outlets.environ, **own})
