"""The part of pps_v2.API about the defaults of specs: the cluster's and each project's.

Read next: pachlet/pps/spec_defaults.py, pachlet/pps/regenerating.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pachlet.api import messages, pps_messages
from pachlet.api.handlers import Context
from pachlet.api.names import project_name
from pachlet.api.pps_part import PpsPart
from pachlet.errors import InvalidArgument
from pachlet.pfs.repos import inspect_project
from pachlet.pfs.transactions import Transaction
from pachlet.pps import spec_defaults
from pachlet.pps.regenerating import regenerate_pipelines


class DefaultsService(PpsPart):
    """Answers the RPCs of pps_v2.API about defaults."""

    def GetClusterDefaults(self, request: Any, context: Context) -> Any:
        with self.engine.database.read() as db:
            json = spec_defaults.cluster_defaults(db)
        return messages.make("pps_v2.GetClusterDefaultsResponse", cluster_defaults_json=json)

    def GetProjectDefaults(self, request: Any, context: Context) -> Any:
        name = project_name(request.project)
        with self.engine.database.read() as db:
            inspect_project(db, name)
            found = spec_defaults.project_defaults(db, name)
        return messages.make(
            "pps_v2.GetProjectDefaultsResponse",
            project_defaults_json=found.json,
            created_at=messages.timestamp(found.created),
        )

    def SetClusterDefaults(self, request: Any, context: Context) -> Any:
        def put(txn: Transaction) -> None:
            spec_defaults.set_cluster_defaults(txn, request.cluster_defaults_json or "{}")

        affected = self._set_defaults(request, put, "")
        return messages.make("pps_v2.SetClusterDefaultsResponse", affected_pipelines=affected)

    def SetProjectDefaults(self, request: Any, context: Context) -> Any:
        name = project_name(request.project)

        def put(txn: Transaction) -> None:
            inspect_project(txn.db, name)
            spec_defaults.set_project_defaults(txn, name, request.project_defaults_json or "{}")

        affected = self._set_defaults(request, put, name)
        return messages.make("pps_v2.SetProjectDefaultsResponse", affected_pipelines=affected)

    def _set_defaults(self, request: Any, put: Callable[[Transaction], None], project: str) -> list[Any]:
        if request.reprocess and not request.regenerate:
            raise InvalidArgument(
                "reprocess needs regenerate: defaults alone change no pipeline that is there",
                hint="set both, or neither",
            )
        affected = []
        with self.engine.transactions.start(is_dry_run=request.dry_run) as txn:
            put(txn)
            if request.regenerate:
                affected = regenerate_pipelines(txn, project, reprocess=request.reprocess)
        return [pps_messages.pipeline(each.project, each.name) for each in affected]
