"""What a spec says of egress, and whether it can be done.

Read next: egress.py (who does it).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pachlet.egress.database_url import check_driver, parse_database_url
from pachlet.egress.object_url import parse_object_url
from pachlet.egress.outgoing import Outlets, check_need
from pachlet.egress.rows import FORMATS
from pachlet.egress.tables import RowFormat
from pachlet.errors import InvalidArgument, Refused, Unimplemented
from pachlet.pps.runs import Kind, kind_of


def store_url(egress: Mapping[str, Any]) -> str:
    """Return the URL of the object store that a spec's egress names, in its older spelling or the newer, or ''."""
    return str(egress.get("URL") or (egress.get("object_storage") or {}).get("url") or "")


def has_egress(spec: Mapping[str, Any]) -> bool:
    """Tell whether the output of an effective spec is delivered anywhere."""
    egress = spec.get("egress") or {}
    return bool(store_url(egress) or egress.get("sql_database"))


def check_egress(spec: Mapping[str, Any]) -> None:
    """Raise a PachletError if the output of an effective spec can't be delivered, whatever it is."""
    if not has_egress(spec):
        if spec.get("egress"):
            raise InvalidArgument(
                "egress names no URL, so nothing could be delivered",
                hint="such as s3://bucket/path; or leave egress out",
            )
        return
    kind, egress = kind_of(spec), spec["egress"]
    if kind != Kind.TRANSFORM:
        raise Unimplemented(f"egress of a {kind} is not implemented by pachlet", hint="its jobs have no end")
    if database := egress.get("sql_database"):
        format_of(database)
        check_driver(parse_database_url(database.get("url") or ""))
        return
    parse_object_url(store_url(egress))
    check_need("obstore", "egress to an object store")


def check_place(spec: Mapping[str, Any], outlets: Outlets) -> None:
    """Raise InvalidArgument if the output goes where this server lets nothing be written."""
    egress = spec.get("egress") or {}
    url = store_url(egress) or (egress.get("sql_database") or {}).get("url") or ""
    if url.startswith(("file:", "sqlite:")):
        outlets.place("/", url)


def format_of(database: Mapping[str, Any]) -> RowFormat:
    """Return what the files of an egress to a database are; raise Refused if it does not say."""
    format = database.get("file_format") or {}
    type = format.get("type") or "UNKNOWN"
    if type not in FORMATS:
        raise Refused(
            f"unknown file format {type}", hint=f"egress.sql_database.file_format.type: {', '.join(FORMATS)}"
        )
    return RowFormat(type, tuple(format.get("columns") or ()))
