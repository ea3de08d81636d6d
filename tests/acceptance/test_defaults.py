"""Defaults of the cluster and of projects lie under the specs of pipelines; regenerating lays them under old ones."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pachlet.client import jobs, pipelines, projects, repos, secrets
from pachlet.client.connection import Connection
from pachlet.errors import InvalidArgument, NotFound, PachletError
from tests.acceptance.words import PFS, PPS, create, ended, last_job, pfs_input, put, shell

IN = pfs_input("in", project="default")


@pytest.fixture
def repo(connection: Connection) -> Connection:
    repos.create_repo(connection, "in")
    put(connection, "in@master", {"/a": "1"})
    return connection


def spec(name: str, project: str = "", **more: Any) -> dict[str, Any]:
    made = {**shell(name, "true", IN), **more}
    if "datum_tries" not in more:
        del made["datum_tries"]
    if project:
        made["pipeline"]["project"] = {"name": project}
    return made


def set_cluster(connection: Connection, defaults: Any, **flags: bool) -> list[str]:
    text = json.dumps({"createPipelineRequest": defaults}) if isinstance(defaults, dict) else defaults
    answer = connection.call(PPS, "SetClusterDefaults", {"cluster_defaults_json": text, **flags})
    return [each.name for each in answer.affected_pipelines]


def set_project(connection: Connection, project: str, defaults: Any, **flags: bool) -> list[str]:
    text = json.dumps({"create_pipeline_request": defaults})
    request = {"project": {"name": project}, "project_defaults_json": text, **flags}
    return [each.name for each in connection.call(PPS, "SetProjectDefaults", request).affected_pipelines]


def effective(connection: Connection, name: str, project: str = "default") -> dict[str, Any]:
    request = {"pipeline": {"name": name, "project": {"name": project}}, "details": True}
    info = connection.call(PPS, "InspectPipeline", request)
    found: dict[str, Any] = json.loads(info.effective_spec_json)
    return found


def test_fresh_ones_are_empty(repo: Connection) -> None:
    assert repo.call(PPS, "GetClusterDefaults", {}).cluster_defaults_json == "{}"
    answer = repo.call(PPS, "GetProjectDefaults", {"project": {"name": "default"}})
    assert (answer.project_defaults_json, answer.HasField("created_at")) == ("{}", False)
    assert repo.call(PPS, "GetProjectDefaults", {}) == answer
    for method in ("GetProjectDefaults", "SetProjectDefaults"):
        with pytest.raises(NotFound, match='project "none" not found'):
            repo.call(PPS, method, {"project": {"name": "none"}})


def test_layers_are_merged_in_order(repo: Connection) -> None:
    projects.create_project(repo, "p")
    cluster = {"datumTries": 5, "resourceRequests": {"cpu": 1, "memory": "1Mi"}, "description": "cluster"}
    set_cluster(repo, cluster)
    assert json.loads(repo.call(PPS, "GetClusterDefaults", {}).cluster_defaults_json) == {
        "createPipelineRequest": cluster
    }
    set_project(repo, "p", {"resource_requests": {"memory": "2Mi"}, "description": None})
    answer = repo.call(PPS, "GetProjectDefaults", {"project": {"name": "p"}})
    assert answer.created_at.seconds > 0
    inspected = repo.call(PFS, "InspectProjectV2", {"project": {"name": "p"}})
    assert inspected.defaults_json == answer.project_defaults_json
    create(repo, spec("a"))
    pipelines.create_pipeline(repo, spec("b", "p"))
    pipelines.create_pipeline(repo, spec("c", "p", resource_requests={"cpu": 3}, datum_tries=1))
    here, there, own = effective(repo, "a"), effective(repo, "b", "p"), effective(repo, "c", "p")
    assert (here["datum_tries"], here["description"]) == (5, "cluster")
    assert here["resource_requests"] == {"cpu": 1.0, "memory": "1Mi"}
    assert "description" not in there
    assert there["resource_requests"] == {"cpu": 1.0, "memory": "2Mi"}
    assert (own["resource_requests"], own["datum_tries"]) == ({"cpu": 3.0, "memory": "2Mi"}, 1)
    assert json.loads(pipelines.inspect_pipeline(repo, "a").user_spec_json).get("datum_tries") is None
    assert pipelines.inspect_pipeline(repo, "a").details.datum_tries == 5
    planned = pipelines.create_pipeline(repo, spec("d"), dry_run=True)
    assert json.loads(str(planned))["datum_tries"] == 5


def test_regenerating_makes_versions_of_those_that_change_and_of_no_others(repo: Connection) -> None:
    create(repo, spec("own", datum_tries=2))
    create(repo, spec("ticks", datum_tries=2, input={"cron": {"name": "tick", "spec": "@never"}}))
    create(repo, spec("plain"))
    assert set_cluster(repo, {"datum_tries": 7}) == []
    assert effective(repo, "plain")["datum_tries"] == 3
    assert set_cluster(repo, {"datum_tries": 7}, regenerate=True, dry_run=True) == ["plain"]
    assert effective(repo, "plain")["datum_tries"] == 3
    assert set_cluster(repo, {"datum_tries": 7}, regenerate=True) == ["plain"]
    info = pipelines.inspect_pipeline(repo, "plain")
    assert (info.version, info.details.datum_tries) == (2, 7)
    assert pipelines.inspect_pipeline(repo, "own").version == 1
    assert ended(last_job(repo, "plain")) == ("SUCCESS", 0, 1, 0, 1)
    assert set_cluster(repo, {"datum_tries": 7}, regenerate=True) == []
    assert set_cluster(repo, {"datum_tries": 8}, regenerate=True, reprocess=True) == ["plain"]
    assert ended(last_job(repo, "plain")) == ("SUCCESS", 1, 0, 0, 1)
    assert len({each.job.id for each in jobs.list_job(repo, history=-1)}) == 5
    assert set_project(repo, "default", {"datum_tries": 9}, regenerate=True) == ["plain"]
    assert effective(repo, "plain")["datum_tries"] == 9
    with pytest.raises(InvalidArgument, match="reprocess needs regenerate"):
        set_cluster(repo, {}, reprocess=True)


def test_dry_run_sets_nothing(repo: Connection) -> None:
    assert set_cluster(repo, {"datum_tries": 7}, dry_run=True) == []
    assert repo.call(PPS, "GetClusterDefaults", {}).cluster_defaults_json == "{}"


@pytest.mark.parametrize(
    "text, said",
    [
        ("", None),
        ("{}", None),
        ("{", "invalid cluster defaults JSON"),
        ("[]", "invalid cluster defaults JSON"),
        ("{} {}", "invalid cluster defaults JSON"),
        ('{"createPipelineRequest": {"datumTires": 1}}', "datumTires"),
        ('{"datum_tries": 1}', "datum_tries"),
        ('{"createPipelineRequest": {"reprocess_spec": "never"}}', "ReprocessSpec must be one of"),
        ('{"createPipelineRequest": {"tolerations": [{"key": "x"}]}}', "toleration 1/1"),
        ('{"createPipelineRequest": {"pod_patch": "{"}}', "malformed PodPatch"),
    ],
)
def test_what_can_be_no_defaults_is_refused(repo: Connection, text: str, said: str | None) -> None:
    if said is None:
        set_cluster(repo, text)
        return
    with pytest.raises(InvalidArgument) as refused:
        set_cluster(repo, text)
    assert said in refused.value.message
    assert repo.call(PPS, "GetClusterDefaults", {}).cluster_defaults_json == "{}"


def test_pipeline_that_can_not_be_regenerated_keeps_everything_as_it_was(repo: Connection) -> None:
    create(repo, spec("plain"))
    broken = {"service": {"type": "NodePort"}, "parallelism_spec": {"constant": 2}}
    with pytest.raises(PachletError):
        set_cluster(repo, broken, regenerate=True)
    assert repo.call(PPS, "GetClusterDefaults", {}).cluster_defaults_json == "{}"
    assert pipelines.inspect_pipeline(repo, "plain").version == 1


def test_pipeline_whose_secret_is_gone_does_not_keep_the_others_back(repo: Connection) -> None:
    secrets.create_secret(repo, json.dumps({"metadata": {"name": "s"}, "stringData": {"k": "v"}}).encode())
    create(repo, spec("plain"))
    secret = {"name": "s", "key": "k", "env_var": "K"}
    create(repo, spec("bare", transform={"image": "alpine", "cmd": ["true"], "secrets": [secret]}))
    secrets.delete_secret(repo, "s")
    assert sorted(set_cluster(repo, {"datum_tries": 7}, regenerate=True)) == ["bare", "plain"]
    assert effective(repo, "bare")["datum_tries"] == 7
    named = {"transform": {"secrets": [{**secret, "name": "unknown"}]}}
    with pytest.raises(PachletError, match="could not regenerate pipeline default/"):
        set_cluster(repo, named, regenerate=True)


def test_defaults_of_a_project_go_with_it(repo: Connection) -> None:
    projects.create_project(repo, "p")
    set_project(repo, "p", {"datum_tries": 2})
    projects.delete_project(repo, "p")
    projects.create_project(repo, "p")
    answer = repo.call(PPS, "GetProjectDefaults", {"project": {"name": "p"}})
    assert answer.project_defaults_json == "{}"
