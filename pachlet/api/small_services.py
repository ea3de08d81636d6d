"""The services that clients ask before and around their real work: version, cluster, health, and what is switched off.

Auth, identity and license belong to Pachyderm's paid edition; a server without them answers with one text that clients
know, and `delete_all` of both clients goes through it.

Read next: handlers.py.
"""

from __future__ import annotations

import platform
from typing import Any

from pachlet import __version__
from pachlet.api import messages
from pachlet.api.handlers import Context
from pachlet.api.metadata_service import cluster_metadata
from pachlet.errors import NotFound, Unimplemented
from pachlet.metadb.connect import Database
from pachlet.pfs.repos import find_project
from pachlet.wire import schema

PACHYDERM_VERSION = (2, 12, 2)
"""The version of the API that is spoken; clients compare it with their own."""
SERVING = 1


class VersionService:
    """Answers versionpb_v2.API; `stock` keeps to itself that this is pachlet."""

    def __init__(self, *, stock: bool = False) -> None:
        self._additional = "" if stock else f"-pachlet.{__version__}"

    def GetVersion(self, request: Any, context: Context) -> Any:
        major, minor, micro = PACHYDERM_VERSION
        return messages.make(
            "versionpb_v2.Version",
            major=major,
            minor=minor,
            micro=micro,
            additional=self._additional,
            platform=platform.machine(),
        )


class AdminService:
    """Answers admin_v2.API."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def InspectCluster(self, request: Any, context: Context) -> Any:
        with self._database.read() as db:
            name = request.current_project.name
            if name and find_project(db, name) is None:
                raise NotFound(f'project "{name}" not found', hint=f"pachctl create project {name}")
            deployment = db.value("get_setting", key="deployment_id")
            cluster = db.value("get_setting", key="cluster_id")
            metadata = cluster_metadata(db)
        return messages.make(
            "admin_v2.ClusterInfo", id=cluster, deployment_id=deployment, warnings_ok=True, metadata=metadata
        )


class HealthService:
    """Answers grpc.health.v1.Health."""

    def Check(self, request: Any, context: Context) -> Any:
        known = {"", *(service.full_name for service in schema.services())}
        if request.service not in known:
            raise NotFound(f"no service is named {request.service}")
        return messages.make("grpc.health.v1.HealthCheckResponse", status=SERVING)


class InactiveService:
    """Answers every RPC of auth_v2.API and identity_v2.API as a server without auth does."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)

        def refuse(request: Any, context: Context) -> Any:
            raise Unimplemented("the auth service is not activated")

        return refuse


class LicenseService:
    """Answers license_v2.API: there are no licenses, so there is nothing to delete."""

    def DeleteAll(self, request: Any, context: Context) -> Any:
        return messages.make("license_v2.DeleteAllResponse")


class EnterpriseService:
    """Answers enterprise_v2.API: everything is in the one edition."""

    def GetState(self, request: Any, context: Context) -> Any:
        return messages.make("enterprise_v2.GetStateResponse", state=0)
