"""Find out what keeps a pipeline from running: its image, its secrets, the machine's size, its inputs, its egress.

What is found here is looked for when a pipeline is new, again before each of its jobs, and as long as it is CRASHING. A
sentence says what is wrong and what to do about it.

Read next: recovering.py (who looks), running.py (before a job).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pachlet.errors import FailedPrecondition, PachletError
from pachlet.metadb.connect import Transaction as Statements
from pachlet.paths import Branch
from pachlet.pfs import branches
from pachlet.pps.egress_spec import check_place
from pachlet.pps.engine import Engine
from pachlet.pps.inputs import parse_input
from pachlet.pps.permits import amount, requests_of
from pachlet.pps.pipelines import PipelineRecord
from pachlet.pps.secrets import check_secrets
from pachlet.worker.capacity import machine_memory


def find_obstacle(db: Statements, engine: Engine, record: PipelineRecord) -> str:
    """Return why a pipeline that is not stopped can't run, nothing if it can."""
    try:
        engine.runner.resolve(record.spec["transform"]["image"])
        check_needs(db, engine, record.spec)
        check_inputs(db, record)
    except PachletError as error:
        return with_hint(error)
    return ""


def foresee_trouble(db: Statements, engine: Engine, spec: Mapping[str, Any]) -> str:
    """Return why a pipeline with an effective spec can't run, or what runs instead of its image, if either is so."""
    try:
        image = engine.runner.resolve(spec["transform"]["image"])
        check_needs(db, engine, spec)
    except PachletError as error:
        return f"pipeline {spec['pipeline']['name']} can't run: {with_hint(error)}"
    return image.warning


def with_hint(error: PachletError) -> str:
    """Return what an error says, and what to do."""
    return f"{error.message} ({error.hint})" if error.hint else error.message


def check_needs(db: Statements, engine: Engine, spec: Mapping[str, Any]) -> None:
    """Raise a PachletError if a spec needs a secret that is missing, a larger machine, or a place to egress to."""
    check_secrets(db, spec)
    _check_size(spec, engine.scratch)
    check_place(spec, engine.outlets)


def _check_size(spec: Mapping[str, Any], scratch: Path) -> None:
    """Raise FailedPrecondition if one worker of a spec asks for more than this machine has."""
    asked = requests_of(spec)
    for kind, wanted, there in (
        ("memory", asked.memory, machine_memory()),
        ("disk", asked.disk, shutil.disk_usage(scratch).total),
    ):
        if wanted is not None and wanted > there:
            raise FailedPrecondition(
                f"its workers ask for {amount(wanted)} of {kind}, and this machine has {amount(there)}",
                hint=f"lower resource_requests.{kind}, or resource_limits.{kind} where there is no request",
            )
    cores = os.cpu_count() or 1
    if asked.cpu is not None and asked.cpu > cores:
        raise FailedPrecondition(
            f"its workers ask for {asked.cpu:g} processors, and this machine has {cores}",
            hint="lower resource_requests.cpu, or resource_limits.cpu where there is no request",
        )


def reads(record: PipelineRecord) -> list[Branch]:
    """Return the branches that a pipeline's output is downstream of while it is not stopped."""
    own = Branch(record.repo.spec, "master")
    if not record.spec.get("input"):
        return [own]
    return [*parse_input(record.spec["input"], record.project).branches(), own]


def check_inputs(db: Statements, record: PipelineRecord) -> None:
    """Raise FailedPrecondition if a branch that a pipeline reads was deleted, so that it hears of nothing any more."""
    output = branches.find_branch(db, record.output_branch)
    found = branches.direct_provenance(db, output.key) if output is not None else []
    heard = {each.branch for each in found}
    for branch in reads(record):
        if branch not in heard:
            there = branches.find_branch(db, branch) is not None
            missing = "was deleted and made anew" if there else "was deleted"
            first = "" if there else "make it again and "
            raise FailedPrecondition(
                f"its input {branch} {missing}", hint=f"{first}`pachctl update pipeline` connects them"
            )
