"""Fire the triggers that have a schedule: at each tick the branch moves to the head of the one it is triggered by.

The tick before the first is the start of the branch's head, so a restart neither repeats nor forgets one. Ticks that
were missed, and ticks at which there is nothing new, move nothing.

Read next: triggers.py, timer.py (who calls), spec/schedule.py.
"""

from __future__ import annotations

from pachlet.clock import Clock
from pachlet.metadb.connect import Database, Rollback
from pachlet.paths import Branch
from pachlet.pfs import branches, commits
from pachlet.pfs.records import BranchRecord
from pachlet.pfs.transactions import Transactions
from pachlet.pfs.triggers import Trigger, find_trigger
from pachlet.spec.schedule import parse_schedule


class CronTriggers:
    """Fires every branch with a cron trigger."""

    def __init__(self, database: Database, transactions: Transactions, clock: Clock) -> None:
        self._database = database
        self._transactions = transactions
        self._clock = clock
        self._ticks: dict[tuple[int, str], int] = {}

    def look(self) -> int | None:
        """Fire what is due; return the time of the next tick, if there is one."""
        with self._database.read() as db:
            found = [
                (branches.get_branch(db, row["branch"]), Trigger.of(row)) for row in db.all("cron_triggers")
            ]
            for branch, trigger in found:
                if (branch.key, trigger.cron_spec) not in self._ticks and branch.head is not None:
                    head = commits.get_commit(db, branch.head)
                    self._ticks[branch.key, trigger.cron_spec] = head.started
        known = {(branch.key, trigger.cron_spec) for branch, trigger in found}
        self._ticks = {key: tick for key, tick in self._ticks.items() if key in known}
        due = [self._look_at(branch, spec) for branch, spec in self._ticks]
        return min((each for each in due if each is not None), default=None)

    def _look_at(self, branch_key: int, spec: str) -> int | None:
        schedule = parse_schedule(spec)
        due = schedule.next(self._ticks[branch_key, spec])
        now = self._clock.now()
        if due is not None and due <= now:
            self._fire(branch_key, spec)
            following = schedule.next(due)
            # After a long stop the ticks that were missed are one.
            self._ticks[branch_key, spec] = due if following is None or following > now else now
            due = schedule.next(self._ticks[branch_key, spec])
        return due

    def _fire(self, branch_key: int, spec: str) -> None:
        with self._transactions.start() as txn:
            row = txn.db.first("get_branch_by_key", key=branch_key)
            trigger = find_trigger(txn.db, branch_key)
            if row is None or trigger is None or trigger.cron_spec != spec:
                raise Rollback
            branch = BranchRecord.of(row)
            source = branches.find_branch(txn.db, Branch(branch.branch.repo, trigger.branch))
            if source is None or source.head is None or source.head == branch.head:
                raise Rollback
            branches.set_head(txn, branch_key, source.head)
