"""What is filled in, in which order, and what upstream's order of inputs is."""

from __future__ import annotations

from typing import Any

from pachlet.spec.defaults import effective_spec, merge_patch, merged_spec


def pfs(repo: str, **more: Any) -> dict[str, Any]:
    return {"pfs": {"repo": repo, "glob": "/*", **more}}


def effective(**spec: Any) -> dict[str, Any]:
    return effective_spec({"pipeline": {"name": "p"}, **spec}, {}, {})


def names(tree: dict[str, Any]) -> list[str]:
    return [part["pfs"]["name"] for part in next(iter(tree.values()))]


def test_built_in_defaults() -> None:
    assert effective() == {
        "pipeline": {"name": "p", "project": {"name": "default"}},
        "transform": {"image": "ubuntu:20.04"},
        "output_branch": "master",
        "datum_tries": 3,
        "reprocess_spec": "until_success",
    }


def test_layers() -> None:
    cluster = {"resourceRequests": {"cpu": 1, "memory": "1Gi"}, "datumTries": 5, "salt": "s"}
    project = {"resource_requests": {"memory": "2Gi"}, "salt": None}
    user = {"pipeline": {"name": "p"}, "datumTries": "7", "resource_requests": {"disk": "3Gi"}}
    merged = merged_spec(user, cluster, project)
    assert merged["datum_tries"] == 7
    assert merged["resource_requests"] == {"cpu": 1.0, "memory": "2Gi", "disk": "3Gi"}
    assert "salt" not in merged


def test_merge_patch_follows_the_rfc() -> None:
    assert merge_patch({"a": [1], "b": {"c": 1, "d": 2}}, {"a": [2], "b": {"c": None}, "e": {"f": None}}) == {
        "a": [2],
        "b": {"d": 2},
        "e": {},
    }
    assert merge_patch({"a": 1}, None) is None
    assert merge_patch([1], {"a": None}) == {}


def test_empty_is_as_good_as_missing() -> None:
    spec = effective(output_branch="", datum_tries=0, transform={"image": ""})
    assert (spec["output_branch"], spec["datum_tries"]) == ("master", 3)
    assert spec["transform"] == {"image": "ubuntu:20.04"}


def test_pfs_defaults() -> None:
    assert effective(input={"pfs": {"repo": "images", "glob": "*/"}})["input"]["pfs"] == {
        "project": "default",
        "repo": "images",
        "name": "images",
        "repo_type": "user",
        "branch": "master",
        "glob": "/*",
    }
    given = {"project": "x", "name": "n", "repo_type": "meta", "branch": "b"}
    assert effective(input=pfs("a", **given))["input"] == pfs("a", **given)


def test_project_of_inputs_is_the_pipelines() -> None:
    spec = effective(pipeline={"name": "p", "project": {"name": "crypto"}}, input=pfs("a"))
    assert spec["input"]["pfs"]["project"] == "crypto"


def test_trigger_branches_are_counted_per_repo() -> None:
    trigger = {"commits": 2}
    parts = [
        pfs("a", name="1", trigger=trigger),
        pfs("a", name="2", trigger={"branch": "dev"}),
        pfs("b", name="3"),
    ]
    spec = effective(input={"cross": [*parts, pfs("b", name="4", trigger=trigger)]})
    found = [(part["pfs"]["branch"], part["pfs"].get("trigger")) for part in spec["input"]["cross"]]
    assert found == [
        ("p-trigger-1", {"commits": 2, "branch": "master"}),
        ("p-trigger-2", {"branch": "dev"}),
        ("master", None),
        ("p-trigger-1", {"commits": 2, "branch": "master"}),
    ]


def test_cron_defaults() -> None:
    spec = effective(input={"cron": {"name": "tick", "spec": "@daily"}})
    wanted = {"name": "tick", "spec": "@daily", "repo": "p_tick", "project": "default"}
    assert spec["input"]["cron"] == wanted


def test_service_type() -> None:
    assert effective(service={"internal_port": 80})["service"]["type"] == "NodePort"
    assert effective(spout={"service": {"internal_port": 80}})["spout"]["service"]["type"] == "NodePort"
    assert effective(spout={})["spout"] == {}


def test_inputs_are_sorted_by_name() -> None:
    tree = {"cross": [pfs("x", name="c"), pfs("y", name="a"), pfs("z", name="b")]}
    assert names(effective(input=tree)["input"]) == ["a", "b", "c"]


def test_unnamed_inputs_keep_their_order_as_upstream_sorts_before_it_names() -> None:
    tree = {"cross": [pfs("c", name="c"), pfs("b"), pfs("a")]}
    assert names(effective(input=tree)["input"]) == ["b", "a", "c"]


def test_nested_inputs_are_sorted_by_the_first_name_within() -> None:
    inner = {"union": [pfs("z", name="z"), pfs("a", name="a")]}
    tree = effective(input={"join": [pfs("m", name="m"), inner]})["input"]
    assert list(tree["join"][0]) == ["union"]
    assert names(tree["join"][0]) == ["a", "z"]


def test_the_users_spec_is_left_as_it_was() -> None:
    spec = {"pipeline": {"name": "p"}, "input": {"cross": [pfs("b", name="b"), pfs("a", name="a")]}}
    before = repr(spec)
    effective_spec(spec, {}, {})
    assert repr(spec) == before
