"""The cron inputs of pipelines: a repo of ticks for each, and how far its schedule has been followed.

A tick is a commit on the repo's master that puts an empty file named by the tick's time, and so a step sees
`/pfs/<input>/<time>`. How far a schedule has been followed is kept beside the pipeline and not read off the newest
file, as upstream does: a tick by hand would hide those that were missed before it (Pachyderm's issue 5276).

Read next: ticking.py (who makes ticks when they are due), catching_up.py (which ones).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pachlet.metadb.connect import Transaction as Statements
from pachlet.paths import Repo
from pachlet.pfs import branches, commits, repos
from pachlet.pfs.files import Files
from pachlet.pfs.marks import Mark
from pachlet.pfs.transactions import Transaction
from pachlet.pfs.uploads import Upload, place_upload
from pachlet.pps.catching_up import schedule_of
from pachlet.pps.inputs import CronInput, parse_input
from pachlet.spec.defaults import visit
from pachlet.spec.times import format_time, parse_time
from pachlet.storage.chunks import ChunkStore

_SECOND = 1_000_000_000


def cron_inputs(spec: Mapping[str, Any], project: str) -> list[CronInput]:
    """Return the cron inputs of an effective spec, from left to right."""
    if not spec.get("input"):
        return []
    return [leaf for leaf in parse_input(spec["input"], project).visit() if isinstance(leaf, CronInput)]


def fill_starts(spec: Mapping[str, Any], now: int) -> None:
    """Give each cron input that has no `start` the present as one, in place; as upstream, an update does so anew."""
    for node in visit(spec.get("input") or {}):
        cron = node.get("cron")
        if cron is not None and not cron.get("start"):
            cron["start"] = format_time(now)


def create_repos(txn: Transaction, spec: Mapping[str, Any], project: str, name: str) -> None:
    """Make the repos of a pipeline's cron inputs that are not there yet."""
    for cron in cron_inputs(spec, project):
        if repos.find_repo(txn.db, cron.repo) is None:
            repos.create_repo(txn, cron.repo, _description(project, name))


def _description(project: str, name: str) -> str:
    return f"Cron tick repo for pipeline {project}/{name}."


def follow_schedules(txn: Transaction, pipeline: int, spec: Mapping[str, Any], project: str) -> None:
    """Go on from where the cron inputs of a pipeline's version before had got to; new ones begin at their start."""
    crons = {cron.name: cron for cron in cron_inputs(spec, project)}
    before = {row["name"]: row["last"] for row in txn.db.all("cron_inputs", pipeline=pipeline)}
    for name in before.keys() - crons.keys():
        txn.db.run("delete_cron_input", pipeline=pipeline, name=name)
    for name, cron in crons.items():
        last = before.get(name)
        base = start_of(cron) if last is None else max(last, start_of(cron))
        due = schedule_of(spec, cron.spec).next(base)
        txn.db.run("put_cron_input", pipeline=pipeline, name=name, last=last, due=due)


def start_of(cron: CronInput) -> int:
    """Return the time that the schedule of a cron input begins after."""
    return parse_time(cron.start) or 0


def newest_tick(db: Statements, files: Files, cron: CronInput) -> int | None:
    """Return the time that the newest tick in a cron input's repo is named by; other files don't count."""
    branch = branches.find_branch(db, cron.source)
    head = commits.get_commit(db, branch.head) if branch and branch.head else None
    line = [head, *commits.ancestors(db, head)] if head else []
    settled = next((each for each in line if each.finished is not None and not each.error), None)
    if settled is None:
        return None
    times = [parse_time(info.path[1:]) for info in files.open_finished(settled.root).list_dir("/")]
    return max((time for time in times if time is not None), default=None)


def add_tick(txn: Transaction, store: ChunkStore, cron: CronInput, time: int, mark: Mark) -> None:
    """Make a tick; if need be in the commit that somebody has opened, as `put file` would."""
    txn.mark = mark
    upload = Upload(store)
    if cron.overwrite:
        upload.delete("/")
    upload.add(f"/{format_time(time // _SECOND * _SECOND)}", ())
    place_upload(txn, upload, cron.repo, "", cron.source.name)


def delete_cron_inputs(
    txn: Transaction, pipeline: int, project: str, name: str, specs: list[dict[str, Any]], *, force: bool
) -> None:
    """Delete the repos that were made for the cron inputs of any version of a pipeline."""
    txn.db.run("delete_cron_inputs", pipeline=pipeline)
    doomed: dict[Repo, None] = {cron.repo: None for spec in specs for cron in cron_inputs(spec, project)}
    for repo in doomed:
        found = repos.find_repo(txn.db, repo)
        if found is not None and found.description == _description(project, name):
            repos.delete_repo(txn, repo, force=force)
