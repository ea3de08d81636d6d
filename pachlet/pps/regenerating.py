"""Make new versions of the pipelines whose effective spec is another under the defaults that stand now.

Read next: spec_defaults.py, pipelines.py.
"""

from __future__ import annotations

from typing import Any

from pachlet.errors import PachletError
from pachlet.pfs.transactions import Transaction
from pachlet.pps.pipelines import PipelineRecord, list_pipelines, plan_spec, put_version
from pachlet.spec.defaults import visit


def regenerate_pipelines(txn: Transaction, project: str = "", *, reprocess: bool) -> list[PipelineRecord]:
    """Give every pipeline (of a project) whose effective spec changes a new version; return them as they were."""
    affected = []
    for record in reversed(list_pipelines(txn.db)):
        if project and record.project != project:
            continue
        try:
            spec = plan_spec(txn.db, record.user_spec, record.spec)
            _keep_starts(spec, record.spec)
            if spec != record.spec:
                put_version(txn, record, record.user_spec, spec, reprocess=reprocess)
                affected.append(record)
        except PachletError as error:
            name = f"{record.project}/{record.name}"
            text = f"could not regenerate pipeline {name}: {error.message}"
            raise type(error)(text, hint=error.hint) from None
    return affected


def _keep_starts(spec: dict[str, Any], before: dict[str, Any]) -> None:
    """Leave the start of a cron input that its user left open where it was: at the pipeline's creation."""
    starts = {
        each["cron"].get("name"): each["cron"]["start"]
        for each in visit(before.get("input") or {})
        if (each.get("cron") or {}).get("start")
    }
    for each in visit(spec.get("input") or {}):
        cron = each.get("cron")
        if cron is not None and not cron.get("start") and cron.get("name") in starts:
            cron["start"] = starts[cron.get("name")]
