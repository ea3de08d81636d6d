"""The RPC of pfs_v2.API that delivers a commit: what a pipeline's egress does, when somebody asks for it.

It is tried once; whether it is worth trying again is in the status (UNAVAILABLE).

Read next: ../pps/egress.py, object_transfer.py.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.json_format import MessageToDict

from pachlet.api import messages
from pachlet.api.file_service import FileService
from pachlet.api.handlers import Context
from pachlet.api.lacking import lacking
from pachlet.api.names import commit_name
from pachlet.api.object_transfer import halted_by, write_objects
from pachlet.egress.database_url import check_driver, parse_database_url
from pachlet.egress.tables import write_tables
from pachlet.errors import InvalidArgument
from pachlet.pps.egress import outgoing_files, password_of
from pachlet.pps.egress_spec import format_of
from pachlet.spec.validate import check_database_secret


class EgressService(FileService):
    """Answers Egress."""

    @lacking("SQL databases of Snowflake")
    def Egress(self, request: Any, context: Context) -> Any:
        target = request.WhichOneof("target")
        if target is None:
            raise InvalidArgument("egress failed: it has no target", hint="object_storage or sql_database")
        database = (
            MessageToDict(request.sql_database, preserving_proto_field_name=True)
            if target == "sql_database"
            else {}
        )
        if target == "sql_database":
            check_database_secret(database)
        _, found = self._open(commit_name(request.commit), context)
        files = outgoing_files(self.files, found.entries())
        if target == "object_storage":
            size = write_objects(request.object_storage.url, files, self.outlets, context)
            return messages.make("pfs_v2.EgressResponse", object_storage={"bytes_written": size})
        url, format = parse_database_url(request.sql_database.url), format_of(database)
        check_driver(url)
        with self.database.read() as db:
            password = password_of(db, database)
        rows = write_tables(url, password, self.outlets, format, files, halted_by(context), lambda _: None)
        return messages.make("pfs_v2.EgressResponse", sql_database={"rows_written": rows})
