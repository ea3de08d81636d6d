"""The trigger of a branch: what must come in on another branch of its repo before it moves to that branch's head.

Read next: firing.py (when a commit finishes), cron_triggers.py (when the clock says so).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from pachlet.errors import Refused
from pachlet.metadb.connect import Row
from pachlet.metadb.connect import Transaction as Statements
from pachlet.paths import Branch, check_name
from pachlet.pfs.repos import inspect_repo
from pachlet.pfs.transactions import Transaction
from pachlet.spec.triggers import check_conditions


@dataclass(frozen=True)
class Trigger:
    """Conditions under which a branch moves to the head of `branch`: any of them, or with `needs_all` all."""

    branch: str
    needs_all: bool = False
    rate_limit_spec: str = ""
    size: str = ""
    commits: int = 0
    cron_spec: str = ""

    @classmethod
    def of(cls, row: Row) -> Trigger:
        """Make a trigger of a row of `branch_triggers`."""
        return cls(
            branch=row["upstream"],
            needs_all=bool(row["needs_all"]),
            rate_limit_spec=row["rate_limit_spec"],
            size=row["size"],
            commits=row["commits"],
            cron_spec=row["cron_spec"],
        )


def find_trigger(db: Statements, branch_key: int) -> Trigger | None:
    """Return a branch's trigger, or None."""
    row = db.first("get_trigger", branch=branch_key)
    return Trigger.of(row) if row else None


def put_trigger(txn: Transaction, branch_key: int, trigger: Trigger) -> None:
    """Give a branch a trigger that was checked, in place of the one that it has."""
    txn.db.run(
        "put_trigger",
        branch=branch_key,
        upstream=trigger.branch,
        needs_all=int(trigger.needs_all),
        rate_limit_spec=trigger.rate_limit_spec,
        size=trigger.size,
        commits=trigger.commits,
        cron_spec=trigger.cron_spec,
    )


def check_trigger(db: Statements, branch: Branch, trigger: Trigger) -> None:
    """Refuse a trigger that can't be: the texts are upstream's."""
    if not trigger.branch:
        raise Refused("triggers must specify a branch to trigger on")
    check_name("branch", trigger.branch)
    check_conditions(asdict(trigger))
    _check_loop(db, branch, trigger)


def _check_loop(db: Statements, branch: Branch, trigger: Trigger) -> None:
    repo = inspect_repo(db, branch.repo)
    name = trigger.branch
    while name != branch.name:
        row = db.first("get_branch", repo=repo.key, name=name)
        further = find_trigger(db, row["key"]) if row else None
        if further is None:
            return
        name = further.branch
    raise Refused("triggers cannot form a loop")
