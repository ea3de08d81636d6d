"""Which files a file was made of and which were made of it, told by a pachlet and by a Pachyderm, of a small graph:

prices /*  ->  clean /*  ->  predict
params /   ->  train /   ->  (cross)
"""

from __future__ import annotations

import io
import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from pachlet import testing
from pachlet.cli import main
from pachlet.cli.session import Session
from pachlet.client import pipelines, repos
from pachlet.client.authorship import author
from pachlet.client.connection import Connection
from pachlet.client.lineage.asking import trace
from pachlet.client.lineage.graph import File, Graph
from pachlet.client.lineage.openlineage import events, run_id
from pachlet.client.lineage.text import tree
from pachlet.client.put_file import from_bytes, put_file
from pachlet.client.watch import head_of
from pachlet.clock import in_words
from pachlet.errors import NotFound, Unimplemented
from tests.acceptance.words import create, job, pfs_input, put, put_id, shell

COINS = ("ada", "btc", "eth", "sol", "xmr", "zec")


class Elsewhere(Connection):
    """A connection to a Pachyderm that is not pachlet."""

    def call(self, service: str, *rest: Any, **more: Any) -> Any:
        if service.startswith("pachlet."):
            raise Unimplemented(f"unknown service {service}")
        return super().call(service, *rest, **more)


@pytest.fixture(scope="module")
def crypto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    data = tmp_path_factory.mktemp("data")
    with testing.server(data) as running, Connection(running.address) as connection:
        for name in ("prices", "params"):
            repos.create_repo(connection, name)
        prices = [from_bytes(f"/{coin}.csv", coin.encode()) for coin in COINS]
        put_file(connection, "prices@master", prices, message="all prices", source="vm:/prices")
        put(connection, "params@master", {"/svm.json": "{}"})
        create(connection, shell("clean", "cp /pfs/prices/* /pfs/out", pfs_input("prices")))
        create(connection, shell("train", "cp /pfs/params/svm.json /pfs/out/model", pfs_input("params", "/")))
        inputs = {"cross": [pfs_input("clean"), pfs_input("train", "/")]}
        script = "for f in /pfs/clean/*; do cat $f /pfs/train/model > /pfs/out/$(basename $f .csv).json; done"
        create(connection, shell("predict", script, inputs))
        yield connection


@pytest.fixture(params=["pachlet", "pachyderm"])
def asked(request: pytest.FixtureRequest, crypto: Connection) -> Iterator[Connection]:
    """The server, and the same as one that has no service of ours."""
    kind = Connection if request.param == "pachlet" else Elsewhere
    with kind(str(crypto.address)) as connection:
        yield connection


@pytest.fixture
def typed(crypto: Connection) -> Callable[..., str]:
    """Type `trace` and words; return what it printed."""

    def run(*words: str, status: int = 0) -> str:
        out, err = io.StringIO(), io.StringIO()
        session = Session({"PACHD_ADDRESS": str(crypto.address)}, out=out, err=err)
        assert main.run(session, ["trace", *words]) == status, err.getvalue()
        session.close()
        return out.getvalue() or err.getvalue()

    return run


def files(graph: Graph) -> set[str]:
    """Return all files of a graph without their commits."""
    return {f"{each.repo}:{each.path}" for each in graph.files}


def made_by(graph: Graph, file: File) -> list[str]:
    return [each.pipeline for each in graph.runs_of(file)]


def test_one_coins_forecast_names_exactly_that_coins_inputs_and_the_shared_model(asked: Connection) -> None:
    graph = trace(asked, "predict@master:/btc.json")
    assert files(graph) == {"predict:/btc.json", "clean:/btc.csv", "prices:/btc.csv", "train:/", "params:/"}
    assert sorted(run.pipeline for run in graph.runs) == ["clean", "predict", "train"]
    (predict,) = graph.runs_of(graph.root)
    assert {f"{each.repo}:{each.path}" for each in graph.files_of(predict)} == {"clean:/btc.csv", "train:/"}
    raw = next(each for each in graph.files if each.repo == "prices")
    assert made_by(graph, raw) == []
    assert (raw.size_bytes, graph.put_in(raw).author) == (3, author())
    assert graph.put_in(raw).message == "all prices"
    params = next(each for each in graph.files if each.repo == "params")
    assert params.holds == ["/svm.json"]
    assert params.held_since == [head_of(asked, "params@master")]
    assert predict.image == "alpine"
    assert predict.digest.startswith("sha256:")
    assert predict.version == 1
    assert predict.spec_commit == head_of(asked, "predict.spec@master")


def test_what_was_made_of_one_price_file_and_of_the_parameters(asked: Connection) -> None:
    one = trace(asked, "prices@master:/eth.csv", down=True)
    assert files(one) == {"prices:/eth.csv", "clean:/eth.csv", "predict:/eth.json"}
    every = trace(asked, "params@master:/svm.json", down=True, limit=0)
    model = {"params:/svm.json", "train:/model"}
    assert files(every) == model | {f"predict:/{coin}.json" for coin in COINS}
    some = trace(asked, "params@master:/svm.json", down=True, limit=2)
    assert len(files(some) - model) == 2
    assert [each.has_more for each in some.files if each.repo == "train"] == [True]


def test_a_folder_a_commit_and_a_job_are_places_and_say_how_much_is_left_out(asked: Connection) -> None:
    for place in ("clean@master:/", "clean@master", f"clean@{head_of(asked, 'clean@master')}"):
        graph = trace(asked, place, limit=2)
        assert len(graph.runs) == 2
        assert (graph.root.path, graph.root.not_shown) == ("/", len(COINS) - 2)
        assert len(trace(asked, place, limit=0).runs) == len(COINS)
    assert len(trace(asked, "clean@master", limit=len(COINS) - 1).runs) == len(COINS)  # one is not left out
    with pytest.raises(NotFound, match=r"/none\.csv"):
        trace(asked, "clean@master:/none.csv")


def test_a_datum_that_is_kept_leads_to_what_it_ran_on(crypto: Connection, asked: Connection) -> None:
    before = trace(crypto, "predict@master:/zec.json")
    id = put_id(crypto, "prices@master", {"/new.csv": "1"})
    job(crypto, "predict", id)
    for place in (f"predict@{id}:/zec.json", "predict@master:/zec.json"):
        after = trace(asked, place)
        assert [(each.job, each.datum) for each in after.runs] == [
            (each.job, each.datum) for each in before.runs
        ]
    graph = trace(asked, f"prices@{id}:/zec.csv", down=True)
    assert files(graph) == {"prices:/zec.csv", "clean:/zec.csv", "predict:/zec.json"}


def test_what_users_put_is_told_by_the_commit_that_put_it_not_by_that_in_which_it_was_read(
    crypto: Connection, asked: Connection
) -> None:
    target = "told@master"
    repos.create_repo(crypto, "told", update=True)
    for source, files in (
        ("one/p", {"/p": "p"}),
        ("one/both", {"/p": "P", "/q": "q"}),
        ("one/q", {"/q": "Q"}),
    ):
        put = [from_bytes(path, text.encode()) for path, text in files.items()]
        put_file(crypto, target, put, message=f"from {source}", source=source)
    for path, source in (("/p", "one/both"), ("/q", "one/q")):
        graph = trace(asked, f"{target}:{path}")
        assert graph.put_in(graph.root).message == f"from {source}"
        assert f'from {source}, "from {source}", hash' in "\n".join(tree(graph))
        down = trace(asked, f"{target}:{path}", down=True)
        assert down.put_in(down.root).metadata["source"] == source
    first, *held = tree(trace(asked, f"{target}:/"))
    assert "put by" not in first
    assert [re.sub(r".*(/[pq]) .* from (\S+), .*", r"\1 \2", line) for line in held] == [
        "/p one/both",
        "/q one/q",
    ]


def test_each_of_many_files_of_a_folder_is_told_by_its_own_commit(crypto: Connection) -> None:
    repos.create_repo(crypto, "many", update=True)
    for turn in range(3):  # each changes some of what was there, and adds some
        put = [from_bytes(f"/{number:02}", b"%d" % turn) for number in range(turn * 10, turn * 10 + 20)]
        put_file(crypto, "many@master", put, message=f"turn {turn}")
    graph = trace(crypto, "many@master:/", limit=0)
    told = [graph.put_in(graph.root, place).message for place in range(len(graph.root.holds))]
    assert told == ["turn 0"] * 10 + ["turn 1"] * 10 + ["turn 2"] * 20


def test_a_pipeline_that_is_deleted_leaves_its_files_their_origin(tmp_path: Path) -> None:
    with testing.server(tmp_path) as running, Connection(running.address) as connection:
        repos.create_repo(connection, "in")
        put(connection, "in@master", {"/a": "a"})
        create(connection, shell("copy", "cp /pfs/in/a /pfs/out", pfs_input("in")))
        before = trace(connection, "copy@master:/a")
        pipelines.delete_pipeline(connection, "copy", keep_repo=True)
        after = trace(connection, "copy@master:/a")
        (run,) = after.runs
        # What the pipeline kept of its datums went with it; the file's tag still says which datum it was.
        assert (run.pipeline, run.datum) == ("copy", before.runs[0].datum)
        assert f"datum {run.datum[:12]} of default/copy" in "\n".join(tree(after))


def test_the_drawing_answers_what_when_why_and_how(typed: Callable[..., str]) -> None:
    told = typed("predict@master:/ada.json")
    lines = told.splitlines()
    assert re.fullmatch(r"default/predict@[0-9a-f]{32}:/ada.json", lines[0])
    assert re.fullmatch(r"└─ datum [0-9a-f]{12} of default/predict version 1", lines[1])
    assert re.search(r"when  \d{4}-\d\d-\d\dT\S+Z, \d+\.\d{3} s$", told, re.M)
    assert f"why   default/predict.spec@master by {author()}\n" in told
    assert re.search(r"code  alpine@sha256:[0-9a-f]{64}, the machine's own programs$", told, re.M)
    put_by = rf'prices@[0-9a-f]{{32}}:/ada.csv \(put by {author()} from vm:/prices, "all prices", hash [0-9a-f]{{12}}\)'
    assert re.search(put_by, told)
    down = typed("params@master:/svm.json", "--down")
    assert "\n└─ datum " in down
    assert "and more datums (--limit 0 shows all)" in down
    assert typed("predict@master:/none", status=1).startswith("file /none not found in repo default/predict")


@pytest.mark.parametrize("kind", [Connection, Elsewhere])
def test_when_is_when_each_datum_ran_and_not_before_what_it_read_was_made(
    tmp_path: Path, kind: type[Connection]
) -> None:
    with testing.server(tmp_path) as running, kind(running.address) as connection:
        repos.create_repo(connection, "in")
        put(connection, "in@master", {"/a": "a", "/b": "b"})
        create(connection, shell("copy", "cp /pfs/in/* /pfs/out", pfs_input("in")))
        create(connection, shell("join", "cat /pfs/copy/* > /pfs/out/all", pfs_input("copy", "/")))
        id = put_id(connection, "in@master", {"/a": "A", "/b": "B"})
        jobs = {each: _ran(job(connection, each, id)) for each in ("copy", "join")}
        graph = trace(connection, f"join@{id}:/all")
        (join,) = graph.runs_of(graph.root)
        copies = [each for each in graph.runs if each.pipeline == "copy"]
        assert [each.job for each in graph.runs] == [id] * 3
        for each in copies:
            assert jobs["copy"][0] <= each.started < each.finished <= jobs["copy"][1]
            assert each.finished <= join.started
        assert jobs["join"][0] <= join.started < join.finished <= jobs["join"][1]
        assert len({each.started for each in copies}) == len({each.finished for each in copies}) == 2
        told = [line.split()[-3].rstrip(",") for line in tree(graph) if "when  " in line]
        assert sorted(told) == sorted(each.started for each in graph.runs)
        assert [each["started"] for each in graph.as_data()["runs"]] == [each.started for each in graph.runs]
        of = {run_id(each): each for each in graph.runs}
        for event in events(graph, str(running.address)):
            run = of[event["run"]["runId"]]
            assert event["eventTime"] == (run.started if event["eventType"] == "START" else run.finished)
    # As versions wrote them that had no times.
    with closing(sqlite3.connect(tmp_path / "pachlet.db")) as db, db:
        db.execute("UPDATE datum_records SET record = json_remove(record, '$.started', '$.finished')")
    with testing.server(tmp_path) as running, Connection(running.address) as connection:
        for each in trace(connection, f"join@{id}:/all").runs:
            found = job(connection, each.pipeline, id)
            times = found.started.ToJsonString(), found.finished.ToJsonString()
            assert (each.started, each.finished) == times


def _ran(info: Any) -> tuple[str, str]:
    """Return when a job began and ended, to the nanosecond, so that times compare as texts."""
    return in_words(info.started.ToNanoseconds()), in_words(info.finished.ToNanoseconds())


def test_as_data_and_as_a_picture(typed: Callable[..., str]) -> None:
    found = json.loads(typed("predict@master:/ada.json", "-o", "json"))
    assert found["direction"] == "up"
    (run,) = found["files"][0]["made_by"]
    read = [found["files"][each]["path"] for each in found["runs"][run]["read"]]
    assert read == ["/ada.csv", "/"]
    picture = ElementTree.fromstring(typed("predict@master:/ada.json", "-o", "svg"))
    drawn = {each.text for each in picture.iter("{http://www.w3.org/2000/svg}text")}
    assert {"predict:/ada.json", "clean:/ada.csv", "predict", "train", "success"} <= drawn


def check(value: Any, shape: Any, at: str = "event") -> None:
    """Hold a value against a shape: required keys with the shapes of their values, '*' for all others."""
    if isinstance(shape, dict):
        assert isinstance(value, dict), at
        required = {key for key in shape if key != "*"}
        assert required <= value.keys(), f"{at} lacks {required - value.keys()}"
        for key, inner in value.items():
            if key in shape or "*" in shape:
                check(inner, shape.get(key, shape.get("*")), f"{at}.{key}")
    elif isinstance(shape, list):
        assert isinstance(value, list), at
        for each in value:
            check(each, shape[0], at)
    else:
        assert re.fullmatch(shape, value), f"{at}: {value!r}"


URI = r"(https?|pachyderm)://\S+"
FACETS = {"*": {"_producer": URI, "_schemaURL": URI}}
DATASET = {"namespace": URI, "name": r"\S+", "facets": FACETS}
EVENT = {  # what OpenLineage 2-0-2 requires of a RunEvent, and of each facet
    "eventType": "START|COMPLETE|FAIL|ABORT|RUNNING|OTHER",
    "eventTime": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z",
    "producer": URI,
    "schemaURL": URI,
    "run": {
        "runId": r"[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
        "facets": FACETS,
    },
    "job": {"namespace": URI, "name": r"\S+", "facets": FACETS},
    "inputs": [DATASET],
    "outputs": [DATASET],
}


def test_as_events_of_openlineage(typed: Callable[..., str]) -> None:
    told = [json.loads(line) for line in typed("predict@master:/ada.json", "-o", "openlineage").splitlines()]
    for each in told:
        check(each, EVENT)
    kinds = [(each["eventType"], each["job"]["name"]) for each in told]
    both = ("START", "COMPLETE")
    assert set(kinds[:4]) == {(kind, f"default/{name}") for kind in both for name in ("clean", "train")}
    assert kinds[4:] == [(kind, "default/predict") for kind in both]
    assert told[4]["run"]["runId"] == told[5]["run"]["runId"]
    code = told[-1]["run"]["facets"]["pachlet_code"]
    assert (code["digest"][:7], code["image"], code["version"]) == ("sha256:", "alpine", 1)
    (wrote,) = told[-1]["outputs"]
    assert wrote["name"] == "default/predict:/ada.json"
    assert {each["name"] for each in told[-1]["inputs"]} == {"default/clean:/ada.csv", "default/train:/"}
    assert wrote["facets"]["pachlet_file"]["hash"]
