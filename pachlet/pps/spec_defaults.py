"""Keep what the cluster and each project lay under the specs of pipelines.

Both are JSON as their user wrote it, `{"createPipelineRequest": {...}}`; a fresh server reads `{}`. A pipeline gets
what stands here when it is created or updated. One that is there already changes only with `regenerate`.

Read next: regenerating.py, spec/defaults.py (how the layers are merged).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pachlet.errors import InvalidArgument, PachletError
from pachlet.metadb.connect import Transaction as Statements
from pachlet.paths import DEFAULT_PROJECT
from pachlet.pfs.transactions import Transaction
from pachlet.spec.defaults import effective_spec
from pachlet.spec.parse import canonical_text
from pachlet.spec.validate import validate_defaults

_CLUSTER = "cluster_defaults"
_NONE = "{}"


@dataclass(frozen=True)
class ProjectDefaults:
    """What a project lays over the cluster's defaults; `created` is None where nobody has set it."""

    json: str = _NONE
    created: int | None = None


def cluster_defaults(db: Statements) -> str:
    """Return the cluster's defaults, JSON as it was set."""
    return db.value("get_setting", key=_CLUSTER) or _NONE


def project_defaults(db: Statements, project: str) -> ProjectDefaults:
    """Return what a project lays over them."""
    row = db.first("get_project_defaults", project=project)
    return ProjectDefaults(row["json"], row["created"]) if row else ProjectDefaults()


def plan_effective_spec(db: Statements, user_spec: dict[str, Any]) -> dict[str, Any]:
    """Return a user's spec over the defaults that stand now."""
    project = ((user_spec.get("pipeline") or {}).get("project") or {}).get("name") or DEFAULT_PROJECT
    cluster = _spec_of(cluster_defaults(db), "cluster defaults")
    return effective_spec(
        user_spec, cluster, _spec_of(project_defaults(db, project).json, "project defaults")
    )


def set_cluster_defaults(txn: Transaction, json: str) -> None:
    """Set the cluster's defaults; raise InvalidArgument for what can't be some."""
    what = "cluster defaults"
    _check(what, _spec_of(json, what), {})
    txn.db.run("put_setting", key=_CLUSTER, value=json)


def set_project_defaults(txn: Transaction, project: str, json: str) -> None:
    """Set a project's defaults; raise InvalidArgument for what can't be some over the cluster's."""
    what = "project defaults"
    _check(what, _spec_of(cluster_defaults(txn.db), what), _spec_of(json, what))
    txn.db.run("put_project_defaults", project=project, json=json, created=txn.now)


def _spec_of(json: str, what: str) -> dict[str, Any]:
    try:
        found = canonical_text(json, f"{what}.json", "pps_v2.ClusterDefaults")
    except PachletError as error:
        raise InvalidArgument(f"invalid {what} JSON: {error.message}", hint=error.hint) from None
    spec: dict[str, Any] = found.get("create_pipeline_request") or {}
    return spec


def _check(what: str, cluster: dict[str, Any], project: dict[str, Any]) -> None:
    try:
        validate_defaults(effective_spec({}, cluster, project))
    except PachletError as error:
        raise InvalidArgument(f"could not merge {what}: {error.message}", hint=error.hint) from None
