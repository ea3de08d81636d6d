"""Make the ticks of cron inputs when they are due, and when somebody asks for one.

All that is known is in the database, so nothing is forgotten over a restart: what was due meanwhile is due now. Ticks
that were missed are made in the order of their times, many in one transaction but each a commit with an id of its own,
so that each has its job.

Read next: cron_inputs.py (what a tick is), catching_up.py (which are made), pfs/timer.py (who calls).
"""

from __future__ import annotations

import functools
import threading

from pachlet.clock import Clock
from pachlet.errors import NotFound, PachletError, Refused
from pachlet.metadb.connect import Row
from pachlet.metadb.connect import Transaction as Statements
from pachlet.pfs.marks import NOBODY, Mark
from pachlet.pfs.transactions import Transaction
from pachlet.pps.catching_up import Choice, catch_up_of, choose_ticks, schedule_of
from pachlet.pps.cron_inputs import add_tick, cron_inputs, newest_tick, start_of
from pachlet.pps.engine import Engine
from pachlet.pps.inputs import CronInput
from pachlet.pps.logbook import Source
from pachlet.pps.pipelines import PipelineRecord, get_pipeline, inspect_pipeline
from pachlet.pps.states import PipelineState
from pachlet.spec.times import format_time


class Ticking:
    """The ticks of all pipelines."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._lock = threading.Lock()  # a tick by hand does not come before those that are due

    def look(self) -> int | None:
        """Make the ticks that are due, a number of them for each input; return when the next one is."""
        if (due := self._next()) is None or due > self._clock.now():
            return due
        with self._lock:
            self._make_due(None)
        return self._next()

    def _next(self) -> int | None:
        row = self._engine.database.look_up("next_cron_tick")
        return None if row is None else row[0]

    def tick_now(self, project: str, name: str, mark: Mark = NOBODY) -> None:
        """Make a tick for each cron input of a pipeline, after those that are due; also if it is stopped."""
        with self._engine.database.read() as db:
            record = inspect_pipeline(db, project, name)
        crons = cron_inputs(record.spec, record.project)
        if not crons:
            when = "when its inputs change" if record.spec.get("input") else "without any input"
            raise Refused("pipeline doesn't have a cron input", hint=f"{project}/{name} runs {when}")
        with self._lock:
            while self._make_due(record.key):
                pass
            self._keep_beginnings(record)
            now = self._clock.now()
            store = self._engine.files.store
            self._engine.transactions.run_each(
                functools.partial(add_tick, store=store, cron=cron, time=now, mark=mark) for cron in crons
            )

    def _keep_beginnings(self, record: PipelineRecord) -> None:
        """Write down what schedules that have not ticked yet go on from: a tick by hand is not to be taken for it."""
        crons = {each.name: each for each in cron_inputs(record.spec, record.project)}
        with self._engine.database.read() as db:
            rows = [row for row in db.all("cron_inputs", pipeline=record.key) if row["last"] is None]
            begins = {row["name"]: self._begin(db, row, crons[row["name"]]) for row in rows}
        with self._engine.transactions.start() as txn:
            for row in rows:
                if not _has_changed(txn, row):
                    begin = begins[row["name"]]
                    txn.db.run(
                        "put_cron_input", pipeline=record.key, name=row["name"], last=begin, due=row["due"]
                    )

    def _begin(self, db: Statements, row: Row, cron: CronInput) -> int:
        """Return the time that the schedule of a cron input goes on from."""
        last = row["last"] if row["last"] is not None else newest_tick(db, self._engine.files, cron)
        return start_of(cron) if last is None else max(last, start_of(cron))

    def _make_due(self, pipeline: int | None) -> bool:
        """Make ticks that are due (of one pipeline, or None: of any); return whether there were any."""
        now = self._clock.now()
        with self._engine.database.read() as db:
            rows = db.all("due_cron_inputs", now=now, pipeline=pipeline)
        for row in rows:
            self._make_of(row, now)
        return bool(rows)

    def _make_of(self, row: Row, now: int) -> None:
        try:
            with self._engine.database.read() as db:
                record = get_pipeline(db, row["pipeline"])
                crons = {each.name: each for each in cron_inputs(record.spec, record.project)}
                cron = crons[row["name"]]
                after = self._begin(db, row, cron)
        except NotFound:
            return  # deleted just now
        schedule = schedule_of(record.spec, cron.spec)
        choice = choose_ticks(schedule, catch_up_of(record.spec), after, now)
        due = schedule.next(choice.followed)

        def advance(txn: Transaction) -> None:
            if _has_changed(txn, row):
                raise _Changed
            txn.db.run("put_cron_input", pipeline=record.key, name=cron.name, last=choice.followed, due=due)

        store = self._engine.files.store
        mark = Mark(author="pachlet", source=f"the schedule {cron.spec}")
        ticks = [
            functools.partial(add_tick, store=store, cron=cron, time=time, mark=mark) for time in choice.ticks
        ]
        try:
            self._engine.transactions.run_each([advance, *ticks])
        except _Changed:
            return  # which is a change: another look follows
        except (NotFound, Refused) as error:
            self._give_up(row, error)
            return
        self._tell(record, cron, choice, has_ended=due is None)

    def _give_up(self, row: Row, error: PachletError) -> None:
        """Leave an input whose repo can't be written alone until the pipeline is updated."""
        reason = f"cron input {row['name']} can't tick: {error}; `pachctl update pipeline` sets it up again"
        key = row["pipeline"]
        with self._engine.transactions.start() as txn:
            if _has_changed(txn, row):
                return
            txn.db.run("put_cron_input", pipeline=key, name=row["name"], last=row["last"], due=None)
            txn.db.run("set_pipeline_state", key=key, state=PipelineState.CRASHING, reason=reason)
        self._engine.logbook.master(Source(key, ""), reason)

    def _tell(self, record: PipelineRecord, cron: CronInput, choice: Choice, *, has_ended: bool) -> None:
        logbook, source = self._engine.logbook, Source(record.key, "")
        if choice.left_out:
            some = f"{choice.left_out} or more" if choice.left_out >= 1000 else str(choice.left_out)
            logbook.master(source, f"cron input {cron.name}: {some} ticks were missed and are left out")
        if len(choice.ticks) > 1:
            first, last = format_time(choice.ticks[0]), format_time(choice.ticks[-1])
            logbook.master(
                source,
                f"cron input {cron.name}: {len(choice.ticks)} ticks are made at once, {first} to {last}",
            )
        if has_ended:
            ended = "that was the last tick of its schedule" if choice.ticks else "its schedule has ended"
            logbook.master(source, f"cron input {cron.name}: {ended}")


class _Changed(Exception):
    """The pipeline was updated or deleted after it was read."""


def _has_changed(txn: Transaction, row: Row) -> bool:
    found = txn.db.first("get_cron_input", pipeline=row["pipeline"], name=row["name"])
    return found is None or any(found[each] != row[each] for each in ("version", "last", "due"))
