"""What docs/coverage.md says is missing of an RPC that is answered: each part is refused by name, and no other."""

from __future__ import annotations

import json
from typing import Any

import pytest

from docs.coverage_page import implementations
from pachlet.api.lacking import lacks
from pachlet.client import pipelines, repos
from pachlet.client.connection import Connection
from pachlet.errors import PachletError
from pachlet.wire import schema
from tests.acceptance.words import PFS, PPS, head, pfs_input, put, shell

SNOWFLAKE = {"url": "snowflake://user@account/db/schema", "file_format": {"type": "CSV"}}
SECRET = {"secret": {"name": "s", "key": "k"}}


def spec(**more: Any) -> dict[str, Any]:
    return {"pipeline": {"name": "new"}, "transform": {"cmd": ["true"]}, "input": pfs_input("in"), **more}


def requests(connection: Connection) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Return, for each RPC that lacks something, requests that ask for it."""
    output = {"repo": {"name": "p", "type": "user"}, "id": "master"}
    job = {"pipeline": {"name": "p"}, "id": head(connection, "p@master").commit.id}
    s3 = {"pfs": {"repo": "in", "glob": "/", "name": "in", "s3": True}}
    specs = [
        spec(s3_out=True),
        spec(input=s3),
        spec(egress={"sql_database": {**SNOWFLAKE, **SECRET}}),
        spec(service={"internal_port": 80}, egress={"URL": "s3://b/p"}),
    ]
    return {
        (PFS, "ActivateAuth"): [{}],
        (PFS, "Egress"): [{"commit": output, "sql_database": {**SNOWFLAKE, **SECRET}}],
        (PFS, "FinishCommit"): [{"commit": output, "force": True}],
        (PPS, "ActivateAuth"): [{}],
        (PPS, "CreatePipeline"): specs,
        (PPS, "CreatePipelineV2"): [{"create_pipeline_request_json": json.dumps(each)} for each in specs],
        (PPS, "RunPipeline"): [{"pipeline": {"name": "p"}}],
        (PPS, "UpdateJobState"): [{"job": job, "state": "JOB_RUNNING"}],
    }


def test_what_is_missing_is_refused_by_name(connection: Connection) -> None:
    secret = {"metadata": {"name": "s"}, "stringData": {"k": "word"}}
    connection.call(PPS, "CreateSecret", {"file": json.dumps(secret).encode()})
    repos.create_repo(connection, "in")
    put(connection, "in@master", {"/a": "1"})
    pipelines.create_pipeline(connection, shell("p", "sleep 1000", pfs_input("in")))
    asked = requests(connection)
    made = implementations()
    noted = {
        (service.full_name, method.name)
        for service in schema.services()
        for method in service.methods
        if hasattr(made.get(service.full_name), method.name) and lacks(made[service.full_name], method.name)
    }
    assert noted == set(asked)
    for (service, method), each in asked.items():
        for request in each:
            with pytest.raises(PachletError) as refused:
                connection.call(service, method, request)
            assert refused.value.code == "UNIMPLEMENTED", (method, request, refused.value)
