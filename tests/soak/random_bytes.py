"""Bytes that no client sends, for every RPC: noise, broken messages, huge lists; the server must shrug.

`throw` makes the calls and looks at the answers. A sample of it is in tests/acceptance/test_random_bytes.py, the bulk
in test_random_bytes.py beside this.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import grpc

from pachlet.client import jobs, pipelines, repos
from pachlet.client.connection import Connection
from pachlet.client.watch import head_of
from pachlet.errors import PachletError
from pachlet.wire import schema
from tests.acceptance.words import PFS, PPS, pfs_input, put, shell

PATIENCE = 0.4  # seconds; some calls wait for what will never be
OURS = {
    grpc.StatusCode.OK,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}
"""What may be answered. INTERNAL and the rest would be bugs."""
DANGEROUS = {"DeleteAll", "DeleteRepos", "RestartPachyderm", "CollectGarbage"}
"""What noise may succeed at, so that the next calls would find nothing any more; it is thrown at less often."""

WORDS = ["", "a", "p", "master", "default", "user", "__filesets__", "/", "/x", "/**", "../..", "*", "a\0b", "é", "^",
         "master^", ".1", "[", "x" * 300, "0" * 32, "file:///etc/passwd", "1s", "{}"]  # fmt: skip


@dataclass(frozen=True)
class Rpc:
    service: str
    method: schema.Method

    @property
    def path(self) -> str:
        return f"/{self.service}/{self.method.name}"


def rpcs() -> list[Rpc]:
    """Return every RPC of the schema."""
    return [Rpc(service.full_name, method) for service in schema.services() for method in service.methods]


class Noise:
    """Payloads made of one seed."""

    def __init__(self, seed: int, known: list[str]) -> None:
        self.random = random.Random(seed)
        self._words = [*WORDS, *known]
        pick = self.random.choice
        repos = [{"name": "a", "type": "user"}] * 3 + [
            {"name": "p", "type": "user"},
            {"name": "p", "type": "meta"},
        ]
        repos += [{"name": "__filesets__", "type": "user"}, {"name": "none"}, {"name": "p", "type": "spec"}]
        self._names: dict[str, Callable[[], dict[str, Any]]] = {
            "pfs_v2.Project": lambda: {"name": pick(["default", "default", "other", ""])},
            "pfs_v2.Repo": lambda: pick(repos),
            "pfs_v2.Branch": lambda: {
                "repo": pick(repos),
                "name": pick(["master", "master", "x", "", "late"]),
            },
            "pfs_v2.Commit": lambda: {"repo": pick(repos), "id": pick(["master", "master^", "late", *known])},
            "pfs_v2.File": lambda: {"commit": self._names["pfs_v2.Commit"](), "path": pick(self._words)},
            "pfs_v2.CommitSet": lambda: {"id": pick(known)},
            "pps_v2.Pipeline": lambda: {"name": pick(["p", "p", "p^", "none", ""])},
            "pps_v2.Job": lambda: {"pipeline": self._names["pps_v2.Pipeline"](), "id": pick(known)},
            "pps_v2.JobSet": lambda: {"id": pick(known)},
        }

    def payload(self, kind: Any) -> bytes:
        """Return bytes that may be a message of a kind."""
        choice = self.random.random()
        if choice < 0.08:
            return self.random.randbytes(self.random.choice([1, 3, 20, 500]))
        message = self.message(kind, 5).SerializeToString()
        if choice < 0.8 or not message:
            return bytes(message)
        return self._damage(bytearray(message))

    def message(self, kind: Any, depth: int) -> Any:
        """Return a message with some of its fields filled, with values of the right types.

        Names are often those of things that are there, or a call would not get beyond its first check.
        """
        made = schema.message(kind.full_name)()
        if kind.full_name in self._names and self.random.random() < 0.7:
            return schema.message(kind.full_name)(**self._names[kind.full_name]())
        for field in kind.fields:
            if self.random.random() < 0.25 or (field.message_type is not None and depth <= 0):
                continue
            if field.message_type is not None and field.message_type.GetOptions().map_entry:
                continue
            self._fill(made, field, depth)
        return made

    def _fill(self, made: Any, field: Any, depth: int) -> None:
        count = self.random.choice([0, 1, 2, 3]) if field.is_repeated else 1
        for _ in range(count):
            if field.message_type is not None:
                value = self.message(field.message_type, depth - 1)
                if field.is_repeated:
                    getattr(made, field.name).append(value)
                else:
                    getattr(made, field.name).CopyFrom(value)
            elif field.is_repeated:
                getattr(made, field.name).append(self._scalar(field))
            else:
                setattr(made, field.name, self._scalar(field))

    def _scalar(self, field: Any) -> Any:
        if field.type == field.TYPE_STRING:
            return self.random.choice(self._words)
        if field.type == field.TYPE_BYTES:
            return self.random.randbytes(self.random.choice([0, 1, 40]))
        if field.type == field.TYPE_BOOL:
            return self.random.random() < 0.3
        if field.enum_type is not None:
            return self.random.choice([0, 1, 2, 99])
        if field.type in (field.TYPE_DOUBLE, field.TYPE_FLOAT):
            return self.random.choice(
                [0.0, -1.0, 1e300, float("nan")] if field.type == field.TYPE_DOUBLE else [0.0]
            )
        bits = 31 if field.type in (field.TYPE_INT32, field.TYPE_UINT32) else 63
        low = -(2**bits) if field.type in (field.TYPE_INT32, field.TYPE_INT64) else 0
        return self.random.choice([0, 1, 2, 2**bits - 1, low])

    def _damage(self, message: bytearray) -> bytes:
        for _ in range(self.random.choice([1, 1, 2, 5])):
            at = self.random.randrange(len(message))
            kind = self.random.randrange(3)
            if kind == 0:
                message[at] = self.random.randrange(256)
            elif kind == 1:
                del message[at : at + self.random.randrange(1, 5)]
            else:
                message[at:at] = self.random.randbytes(self.random.randrange(1, 5))
            if not message:
                break
        return bytes(message)


def throw(
    channel: grpc.Channel, rpc: Rpc, payloads: list[bytes], patience: float = PATIENCE
) -> tuple[grpc.StatusCode, str]:
    """Call an RPC with payloads (one, unless it takes a stream); return the code and what was said."""
    about = rpc.method
    name = (
        f"{'stream' if about.client_streaming else 'unary'}_{'stream' if about.server_streaming else 'unary'}"
    )
    stub = getattr(channel, name)(rpc.path)
    sent: Any = iter(payloads) if about.client_streaming else payloads[0]
    try:
        answer = stub(sent, timeout=patience)
        if about.server_streaming:
            for _, _ in zip(range(20), answer, strict=False):
                pass
            answer.cancel()
    except grpc.RpcError as error:
        return error.code(), error.details() or ""
    return grpc.StatusCode.OK, ""


def wrong(rpc: Rpc, code: grpc.StatusCode, said: str) -> str | None:
    """Return what is wrong with an answer, None if nothing is."""
    if code not in OURS and "cycle detected" not in said:
        return f"{rpc.path} answered {code.name}: {said}"
    if "bug of pachlet" in said or "Traceback" in said:
        return f"{rpc.path} met a bug: {said}"
    return None


def throw_at_all(
    channel: grpc.Channel, seed: int, rounds: int, fill: Callable[[], list[str]]
) -> Iterator[str]:
    """Throw payloads of a seed at every RPC, so many times; yield what is wrong with the answers.

    `fill` makes what calls can be about, before each round, and returns ids of it.
    """
    for number in range(rounds):
        noise = Noise(seed + number, fill())
        for rpc in rpcs():
            if rpc.method.name in DANGEROUS and number % 10 != 9:
                continue
            payloads = [
                noise.payload(rpc.method.request.DESCRIPTOR) for _ in range(noise.random.choice([1, 2, 4]))
            ]
            code, said = throw(channel, rpc, payloads)
            if found := wrong(rpc, code, said):
                yield f"{found} (round {number}, {payloads})"


def filler(connection: Connection) -> Callable[[], list[str]]:
    """Return what sees to it that repo a, pipeline p and a file set are there."""

    def known() -> list[str]:
        job = next(jobs.list_job(connection, pipeline="p")).job.id
        return [job, head_of(connection, "a@master"), connection.send(PFS, "CreateFileSet", []).file_set_id]

    def fill() -> list[str]:
        with contextlib.suppress(PachletError, StopIteration):
            return known()
        connection.call(PPS, "DeleteAll", {})  # what noise left may be in the way
        connection.call(PFS, "DeleteAll", {})
        repos.create_repo(connection, "a")
        put(connection, "a@master", {"/x": "1"})
        pipelines.create_pipeline(connection, shell("p", "cp /pfs/a/* /pfs/out/", pfs_input("a")))
        return known()

    return fill
