"""Specs are applied in order, and only where the spec or the code changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from pachlet.client import apply as subject
from pachlet.client.apply import Code, apply_specs, in_order
from pachlet.errors import InvalidArgument, NotFound
from pachlet.wire import schema


def spec(name: str, *reads: str, image: str = "pachlet/x", cmd: str = "run", **more: Any) -> dict[str, Any]:
    inputs = [{"pfs": {"repo": repo, "glob": "/*"}} for repo in reads]
    return {
        "pipeline": {"name": name},
        "transform": {"image": image, "cmd": [cmd]},
        "input": {"cross": inputs} if len(inputs) != 1 else inputs[0],
        **more,
    }


class Server:
    """Just enough of a server: it keeps specs and says what it was asked to do."""

    project = "p"

    def __init__(self) -> None:
        self.specs: dict[str, str] = {}
        self.asked: list[tuple[str, bool, bool]] = []
        self.images: list[str] = []
        self.state = "JOB_SUCCESS"
        self.transaction = ""
        self.ended: list[str] = []

    def call(self, service: str, method: str, request: dict[str, Any], metadata: Any = ()) -> Any:
        answer: Callable[[dict[str, Any]], Any] = getattr(self, method)
        return answer(request)

    def CreatePipelineV2(self, request: dict[str, Any]) -> Any:
        written = json.loads(request["create_pipeline_request_json"])
        name = written["pipeline"]["name"]
        self.specs[name] = request["create_pipeline_request_json"]
        self.asked.append((name, request["update"], request["reprocess"]))
        return schema.message("pps_v2.CreatePipelineV2Response")()

    def StartTransaction(self, request: dict[str, Any]) -> Any:
        return schema.message("transaction_v2.Transaction")(id="t")

    def FinishTransaction(self, request: dict[str, Any]) -> None:
        self.ended.append("finished")

    def DeleteTransaction(self, request: dict[str, Any]) -> None:
        self.ended.append("deleted")

    def InspectPipeline(self, request: dict[str, Any]) -> Any:
        name = request["pipeline"]["name"]
        if name not in self.specs:
            raise NotFound(f"pipeline {name} not found")
        metadata = json.loads(self.specs[name]).get("metadata", {})
        return schema.message("pps_v2.PipelineInfo")(
            pipeline=request["pipeline"], user_spec_json=self.specs[name], details={"metadata": metadata}
        )

    def ListJob(self, request: dict[str, Any]) -> Any:
        job = {"id": "1", "pipeline": request["pipeline"]}
        return iter([schema.message("pps_v2.JobInfo")(job=job, state=self.state, reason="datum d failed")])

    def ListDatum(self, request: dict[str, Any]) -> Any:
        return iter([schema.message("pps_v2.DatumInfo")(image_id=image) for image in self.images])


@pytest.fixture
def server() -> Server:
    return Server()


def code_of(digest: str, **files: str) -> Callable[[str], Code | None]:
    return lambda reference: Code(digest, files) if reference.startswith("pachlet/") else None


def applied(server: Server, specs: list[dict[str, Any]], code: Callable[[str], Code | None]) -> list[str]:
    server.asked = []
    return [str(done) for done in apply_specs(server, specs, code)]  # type: ignore[arg-type]


def test_pipelines_come_after_those_that_they_read() -> None:
    named = [
        {**each, "pipeline": {**each["pipeline"], "project": {"name": "p"}}}
        for each in (
            spec("report", "predict", "model"),
            spec("predict", "model", "raw"),
            spec("model", "raw"),
        )
    ]
    assert [each["pipeline"]["name"] for each in in_order(named)] == ["model", "predict", "report"]


@pytest.mark.parametrize(
    "specs,said",
    [
        ([spec("a", "b"), spec("b", "a")], "in a circle: p/a -> p/b -> p/a"),
        ([spec("a", "x"), spec("a", "y")], "pipeline p/a is specified twice"),
    ],
)
def test_impossible_sets_of_specs_are_refused(server: Server, specs: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(InvalidArgument, match=said):
        applied(server, specs, code_of("d"))
    assert server.asked == []


def test_applying_twice_changes_nothing(server: Server) -> None:
    specs = [spec("b", "a"), spec("a", "raw")]
    assert applied(server, specs, code_of("d")) == ["a: created", "b: created"]
    assert applied(server, specs, code_of("d")) == ["a: unchanged", "b: unchanged"]
    assert server.asked == []


def test_changed_code_is_named_and_reprocessed(server: Server) -> None:
    specs = [spec("a", "raw")]
    applied(server, specs, code_of("1", same="s", step="x"))
    said = applied(server, specs, code_of("2", same="s", step="y"))
    assert said == ["a: code changed (step), reprocessing"]
    assert server.asked == [("a", True, True)]
    assert applied(server, specs, code_of("2", same="s", step="y")) == ["a: unchanged"]


def test_code_changed_back_is_seen_by_the_datums_that_ran_meanwhile(server: Server) -> None:
    specs = [spec("a", "raw")]
    applied(server, specs, code_of("1"))
    server.images = ["pachlet/x@1", "pachlet/x@2", "docker://elsewhere@sha256:3"]
    assert applied(server, specs, code_of("1")) == ["a: 1 datum was made by other code, reprocessing"]


def test_code_that_was_never_recorded_is_not_trusted(server: Server) -> None:
    applied(server, [spec("a", "raw")], lambda _: None)
    said = applied(server, [spec("a", "raw")], code_of("1"))
    assert said == ["a: the code that made its output is not recorded, reprocessing"]


@pytest.mark.parametrize(
    "changed,said,reprocess",
    [
        (spec("a", "raw", cmd="other"), "a: transform changed (cmd), reprocessing", True),
        (spec("a", "raw", description="new"), "a: spec changed (description), updated", False),
        (spec("a", "raw", datumTries="2"), "a: spec changed (datum_tries), updated", False),
        (spec("a", "raw", metadata={"labels": {"k": "v"}}), "a: spec changed (metadata), updated", False),
    ],
)
def test_changed_spec_is_updated_and_a_changed_command_redone(
    server: Server, changed: dict[str, Any], said: str, reprocess: bool
) -> None:
    applied(server, [spec("a", "raw")], code_of("1"))
    assert applied(server, [changed], code_of("1")) == [said]
    assert server.asked == [("a", True, reprocess)]
    assert applied(server, [changed], code_of("1")) == ["a: unchanged"]


def test_spelling_of_a_spec_is_no_change(server: Server) -> None:
    applied(server, [spec("a", "raw", datum_tries=2, parallelism_spec={"constant": 1})], code_of("1"))
    other = spec("a", "raw", datumTries="2", parallelismSpec={"constant": "1"})
    assert applied(server, [other], code_of("1")) == ["a: unchanged"]


def test_pipeline_whose_last_job_failed_is_run_again(server: Server) -> None:
    applied(server, [spec("a", "raw")], code_of("1"))
    server.state = "JOB_FAILURE"
    said = applied(server, [spec("a", "raw")], code_of("1"))
    assert said == ["a: its last job ended badly (datum d failed), running it again"]
    assert server.asked == [("a", True, False)]


def test_image_of_others_carries_no_digest(server: Server) -> None:
    applied(server, [spec("a", "raw", image="alpine")], code_of("1"))
    assert subject.DIGEST not in server.specs["a"]


def test_several_changes_are_one_transaction_and_an_error_takes_all_back(server: Server) -> None:
    applied(server, [spec("a"), spec("b", "a")], code_of("1"))
    assert server.ended == ["finished"]
    applied(server, [spec("a", cmd="other"), spec("b", "a")], code_of("1"))
    assert server.ended == ["finished"], "one change needs no transaction"

    def refuse(request: dict[str, Any]) -> None:
        raise InvalidArgument("no")

    server.CreatePipelineV2 = refuse  # type: ignore[method-assign, assignment]
    with pytest.raises(InvalidArgument):
        applied(server, [spec("a"), spec("b", "a")], code_of("2"))
    assert server.ended == ["finished", "deleted"]
    assert server.transaction == ""
