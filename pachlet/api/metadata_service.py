"""metadata.API: edit the short texts that users hang on things, which nothing in the engine reads.

All edits of a call are done, or none.

Read next: pickers.py, pachlet/metadb/queries/metadata.sql.
"""

from __future__ import annotations

import json
from typing import Any

from pachlet.api import messages
from pachlet.api.handlers import Context
from pachlet.api.pickers import pick_branch, pick_commit, pick_project, pick_repo
from pachlet.errors import FailedPrecondition, InvalidArgument, PachletError, Refused
from pachlet.metadb.connect import Transaction as Statements
from pachlet.metadb.stored_json import read_json
from pachlet.pfs.transactions import Transactions
from pachlet.pps.pipelines import inspect_pipeline

CLUSTER_KEY = "cluster_metadata"
"""The setting that holds the cluster's metadata."""


class MetadataService:
    """Answers metadata.API."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def EditMetadata(self, request: Any, context: Context) -> Any:
        problems: list[PachletError] = []
        with self._transactions.start() as txn:
            for number, edit in enumerate(request.edits):
                try:
                    _edit(txn.db, edit)
                except PachletError as error:
                    problems.append(type(error)(f"edit #{number}: {error}", hint=error.hint))
            if problems:
                kind = FailedPrecondition if isinstance(problems[0], FailedPrecondition) else Refused
                text = "; ".join(map(str, problems))
                raise kind(f"apply edits: {text}", hint=problems[0].hint)
        return messages.make("metadata.EditMetadataResponse")


def cluster_metadata(db: Statements) -> dict[str, str]:
    """Return the cluster's metadata."""
    found: dict[str, str] = read_json(db.value("get_setting", key=CLUSTER_KEY) or "{}")
    return found


def _edit(db: Statements, edit: Any) -> None:
    kind = edit.WhichOneof("target")
    if kind == "cluster":
        changed = _change(cluster_metadata(db), edit, "cluster")
        db.run("put_setting", key=CLUSTER_KEY, value=json.dumps(changed))
        return
    key, before, name = _find(db, kind, edit)
    db.run(f"set_{kind}_metadata", key=key, metadata=json.dumps(_change(read_json(before), edit, name)))


def _find(db: Statements, kind: str, edit: Any) -> tuple[Any, str, str]:
    """Return the key, the metadata and the printed name of what an edit is for."""
    if kind == "project":
        row = pick_project(db, edit.project)
        return row["name"], row["metadata"], f'project "{row["name"]}"'
    if kind == "repo":
        repo = pick_repo(db, edit.repo)
        return repo.key, repo.metadata, f'repo "{repo.repo}"'
    if kind == "branch":
        branch = pick_branch(db, edit.branch)
        return branch.key, branch.metadata, f'branch "{branch.branch}"'
    if kind == "commit":
        commit = pick_commit(db, edit.commit)
        return commit.key, commit.metadata, f'commit "{commit.commit}"'
    if edit.pipeline.WhichOneof("picker") is None:
        raise InvalidArgument("pipeline picker cannot be nil")
    picked = edit.pipeline.name
    record = inspect_pipeline(db, pick_project(db, picked.project)["name"], picked.name)
    return record.key, record.metadata, f'pipeline "{record.project}/{record.name}"'


def _change(metadata: dict[str, str], edit: Any, name: str) -> dict[str, str]:
    """Return metadata as an edit wants it."""
    kind = edit.WhichOneof("op")
    if kind == "replace":
        return dict(edit.replace.replacement)
    if kind == "delete_key":
        return {key: value for key, value in metadata.items() if key != edit.delete_key.key}
    change = getattr(edit, kind)
    if kind == "add_key" and change.key in metadata:
        raise FailedPrecondition(
            f'edit {name}: add_key target key "{change.key}" already exists; use edit_key instead'
        )
    return {**metadata, change.key: change.value}
