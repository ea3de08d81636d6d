"""The datums that an input would make, without a pipeline: CreateDatum's batches, ListDatum's pages."""

from __future__ import annotations

from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any

import grpc
import pytest

from pachlet.client import repos
from pachlet.client.connection import Connection
from pachlet.errors import NotFound, PachletError
from pachlet.testing import RunningServer
from pachlet.wire import schema
from tests.acceptance.words import PPS, paths, pfs_input, put

MANY = 150


@pytest.fixture
def many(connection: Connection) -> Connection:
    repos.create_repo(connection, "in")
    put(connection, "in@master", {f"/{number:03}": str(number) for number in range(MANY)})
    return connection


class Talk:
    """A client's side of CreateDatum."""

    def __init__(self, server: RunningServer) -> None:
        self._channel = grpc.insecure_channel(server.address)
        request, answer = schema.message("pps_v2.CreateDatumRequest"), schema.message("pps_v2.DatumInfo")
        call = self._channel.stream_stream(
            f"/{PPS}/CreateDatum",
            request_serializer=request.SerializeToString,
            response_deserializer=answer.FromString,
        )
        self._requests: SimpleQueue[Any] = SimpleQueue()
        self._make = request
        self.answers = call(iter(self._requests.get, None))

    def send(self, **body: Any) -> None:
        from google.protobuf import json_format

        self._requests.put(json_format.ParseDict(body, self._make()))

    def end(self) -> None:
        self._requests.put(None)

    def take(self, number: int) -> list[str]:
        return [next(self.answers).data[0].file.path for _ in range(number)]

    def problem(self) -> tuple[str, str]:
        with pytest.raises(grpc.RpcError) as failed:
            list(self.answers)
        return failed.value.code().name, failed.value.details()

    def close(self) -> None:
        self._channel.close()


@pytest.fixture
def talk(server: RunningServer) -> Iterator[Talk]:
    talk = Talk(server)
    yield talk
    talk.close()


@pytest.mark.usefixtures("many")
def test_datums_come_in_batches_of_the_size_asked_for(talk: Talk) -> None:
    talk.send(start={"input": pfs_input("in"), "number": 10})
    seen = talk.take(10)
    talk.send(**{"continue": {"number": 5}})
    seen += talk.take(5)
    talk.send(**{"continue": {}})  # as many as the server likes
    seen += talk.take(100)
    talk.send(**{"continue": {"number": 1000}})
    seen += [each.data[0].file.path for each in talk.answers]
    assert sorted(seen) == [f"/{number:03}" for number in range(MANY)]


@pytest.mark.usefixtures("many")
def test_caller_may_have_enough(talk: Talk) -> None:
    talk.send(start={"input": pfs_input("in"), "number": 3})
    assert len(talk.take(3)) == 3
    talk.end()
    assert list(talk.answers) == []


@pytest.mark.usefixtures("many")
def test_datums_of_a_union_are_those_of_each_part(talk: Talk) -> None:
    talk.send(start={"input": {"union": [pfs_input("in"), pfs_input("in")]}, "number": 2 * MANY + 1})
    assert len(list(talk.answers)) == 2 * MANY


def test_empty_repo_makes_no_datums(connection: Connection, talk: Talk) -> None:
    repos.create_repo(connection, "in")
    connection.call(
        "pfs_v2.API", "CreateBranch", {"branch": {"repo": {"name": "in", "type": "user"}, "name": "master"}}
    )
    talk.send(start={"input": pfs_input("in")})
    assert list(talk.answers) == []


@pytest.mark.parametrize(
    "messages, code, text",
    [
        ([{"continue": {}}], "UNKNOWN", "first message must be a StartCreateDatumRequest message"),
        ([{"start": {}}], "INVALID_ARGUMENT", "Input"),
        (
            [{"start": {"input": pfs_input("in"), "number": 1}}, {"start": {"input": pfs_input("in")}}],
            "UNKNOWN",
            "subsequent messages must be a ContinueCreateDatumRequest message",
        ),
        ([{"start": {"input": pfs_input("none")}}], "NOT_FOUND", "none"),
        (
            [{"start": {"input": {"cron": {"name": "tick", "spec": "@daily"}}}}],
            "UNKNOWN",
            "can't create datums with a cron input",
        ),
    ],
)
@pytest.mark.usefixtures("many")
def test_what_is_no_conversation_is_refused(
    talk: Talk, messages: list[dict[str, Any]], code: str, text: str
) -> None:
    for message in messages:
        talk.send(**message)
    found = talk.problem()
    assert found[0] == code
    assert text in found[1]


def test_planned_datums_are_listed_in_pages(many: Connection) -> None:
    def listed(**more: Any) -> list[str]:
        return [each.datum.id for each in many.call(PPS, "ListDatum", {"input": pfs_input("in"), **more})]

    every = listed()
    assert len(every) == MANY
    assert every == sorted(every)
    assert listed(number=4) == every[:4]
    assert listed(number=4, paginationMarker=every[3]) == every[4:8]
    assert listed(number=3, reverse=True) == every[:-4:-1]
    assert listed(number=3, reverse=True, paginationMarker=every[3]) == every[2::-1]
    assert listed(filter={"state": ["SUCCESS"]}) == []
    assert listed(filter={"state": ["UNKNOWN"]}, number=2) == every[:2]
    with pytest.raises(PachletError, match="number must be > 0 when reverse is set"):
        listed(reverse=True)


def test_listed_files_are_those_of_the_newest_finished_commit(many: Connection) -> None:
    from pachlet.client import commits

    commits.start_commit(many, "in@master")
    put(many, "in@master", {"/open": "not yet"})
    found = list(many.call(PPS, "ListDatum", {"input": pfs_input("in", "/(open|000)")}))
    assert [paths(each.data) for each in found] == [["/000"]]
    with pytest.raises(NotFound, match=r"^repo default/none not found") as refused:
        list(many.call(PPS, "ListDatum", {"input": pfs_input("none")}))
    assert refused.value.hint == "pachctl create repo none --project default"
