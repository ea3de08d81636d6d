"""The part of pps_v2.API about secrets; their values come in and never go out.

Read next: pachlet/pps/secrets.py.
"""

from __future__ import annotations

from typing import Any

from pachlet.api import messages
from pachlet.api.handlers import Context
from pachlet.api.pps_part import PpsPart
from pachlet.pps import secrets
from pachlet.pps.secrets import SecretRecord


class SecretService(PpsPart):
    """Answers the RPCs of pps_v2.API about secrets."""

    def CreateSecret(self, request: Any, context: Context) -> Any:
        secret = secrets.read_secret(request.file)
        with self.engine.database.write() as db:
            secrets.create_secret(db, secret, self.clock.now())
        return messages.empty()

    def InspectSecret(self, request: Any, context: Context) -> Any:
        with self.engine.database.read() as db:
            return _secret_info(secrets.inspect_secret(db, request.secret.name))

    def ListSecret(self, request: Any, context: Context) -> Any:
        with self.engine.database.read() as db:
            found = secrets.list_secrets(db)
        return messages.make("pps_v2.SecretInfos", secret_info=map(_secret_info, found))

    def DeleteSecret(self, request: Any, context: Context) -> Any:
        with self.engine.database.write() as db:
            secrets.delete_secret(db, request.secret.name)
        return messages.empty()


def _secret_info(record: SecretRecord) -> Any:
    return messages.make(
        "pps_v2.SecretInfo",
        secret=messages.make("pps_v2.Secret", name=record.name),
        type=record.type,
        creation_timestamp=messages.timestamp(record.created),
    )
