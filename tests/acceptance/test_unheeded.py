"""Fields that steer Kubernetes are kept, given back and named once: in the pipeline's log, and beside the answer."""

from __future__ import annotations

from typing import Any

import pytest

from pachlet.client import pipelines, repos
from pachlet.client.connection import Connection
from tests.acceptance.words import PPS, create, ended, pfs_input, put, shell

FIELDS: dict[str, Any] = {
    "tolerations": [{"key": "gpu", "operator": "EXISTS", "effect": "NO_SCHEDULE"}],
    "pod_patch": "[]",
    "scheduling_spec": {"node_selector": {"disk": "ssd"}},
    "sidecar_resource_requests": {"cpu": 1.0},
    "resource_limits": {"gpu": {"type": "nvidia.com/gpu", "number": 1}},
}
SAID = (
    "kept and given back, but without effect on one machine: "
    "transform.image_pull_secrets, tolerations, pod_patch, scheduling_spec, sidecar_resource_requests, "
    "resource_limits.gpu"
)


HOST = "image alpine is no folder of images/"


def spec(**more: Any) -> dict[str, Any]:
    return shell("p", "true", pfs_input("in"), transform={"image_pull_secrets": ["s"]}, **FIELDS, **more)


def warned(connection: Connection) -> list[str]:
    lines = connection.call(PPS, "GetLogs", {"pipeline": {"name": "p"}, "master": True})
    return [each.message for each in lines if each.message.startswith("kept and given back")]


@pytest.fixture
def repo(connection: Connection) -> Connection:
    repos.create_repo(connection, "in")
    put(connection, "in@master", {"/a": "1"})
    return connection


def test_they_are_kept_and_named_once(repo: Connection) -> None:
    beside: list[str] = []
    repo.on_warning = beside.append
    assert ended(create(repo, spec()))[0] == "SUCCESS"
    assert warned(repo) == [SAID]
    assert (beside[0], beside[1].partition(":")[0]) == (SAID, HOST)
    details = pipelines.inspect_pipeline(repo, "p").details
    assert details.tolerations[0].key == "gpu"
    assert details.pod_patch == "[]"
    assert details.scheduling_spec.node_selector == {"disk": "ssd"}
    assert details.transform.image_pull_secrets == ["s"]
    create(repo, spec(description="new"), update=True)
    assert warned(repo) == [SAID]
    plain = shell("p", "true", pfs_input("in"), pod_patch="[]")
    create(repo, plain, update=True)
    assert warned(repo) == [SAID, "kept and given back, but without effect on one machine: pod_patch"]
    beside.clear()
    create(repo, shell("q", "true", pfs_input("in")))
    assert [each.partition(":")[0] for each in beside] == [HOST]


def test_both_generations_of_the_call_warn(repo: Connection) -> None:
    beside: list[str] = []
    repo.on_warning = beside.append
    repo.call(PPS, "CreatePipeline", pipelines.as_message(spec()))
    assert len(beside) == 2
    assert "tolerations" in beside[0]
