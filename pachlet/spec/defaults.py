"""Fill in what a user left out of a spec.

The order is upstream's: the cluster's defaults over the built-in ones, the project's over those, the user's
spec over all, as JSON merge patches (objects merge, anything else replaces, null deletes). Then each input
gets its name, branch and so on. Inputs are sorted before that, by the names that the user gave, so unnamed
ones come first and keep their order: it is part of every datum's id, so it has to be the same here as there.

Read next: validate.py (what a full spec must be), pps/inputs.py (what becomes of the input).
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from pachlet.paths import DEFAULT_PROJECT, USER, clean_path
from pachlet.spec.parse import canonical

BUILT_IN: Mapping[str, Any] = {
    "transform": {"image": "ubuntu:20.04"},
    "output_branch": "master",
    "datum_tries": 3,
    "reprocess_spec": "until_success",
}
COMBINED = ("cross", "join", "group", "union")


def merge_patch(target: Any, patch: Any) -> Any:
    """Return the target with the patch laid over it (RFC 7396); neither is changed."""
    if not isinstance(patch, Mapping):
        return copy.deepcopy(patch)
    merged = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def merged_spec(
    user: Mapping[str, Any], cluster: Mapping[str, Any], project: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a user's spec laid over all defaults: what upstream shows as the effective spec.

    Each layer may spell its fields either way; the result is in the schema's spelling.
    """
    merged: dict[str, Any] = copy.deepcopy(dict(BUILT_IN))
    for layer in (cluster, project, user):
        merged = merge_patch(merged, canonical(layer))
    return merged


def effective_spec(
    user: Mapping[str, Any], cluster: Mapping[str, Any], project: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the spec that a pipeline runs: the merged one, and every field filled in that has a default."""
    spec = merged_spec(user, cluster, project)
    _fill(spec, BUILT_IN)
    pipeline = spec.get("pipeline")
    if pipeline is not None and not (pipeline.get("project") or {}).get("name"):
        pipeline["project"] = {"name": DEFAULT_PROJECT}
    for holder in (spec, spec.get("spout") or {}):
        if holder.get("service") is not None:
            _fill(holder["service"], {"type": "NodePort"})
    if spec.get("input") is not None:
        fill_input(spec["input"], pipeline or {})
    return spec


def fill_input(tree: dict[str, Any], pipeline: Mapping[str, Any]) -> None:
    """Sort the input of `pipeline` (the spec's field) and fill in its leaves, in place."""
    sort_input(tree)
    name = pipeline.get("name", "")
    project = (pipeline.get("project") or {}).get("name") or DEFAULT_PROJECT
    triggers: Counter[str] = Counter()
    for node in visit(tree):
        if (pfs := node.get("pfs")) is not None:
            _fill_pfs(pfs, name, project, triggers)
        if (cron := node.get("cron")) is not None:
            _fill(cron, {"project": project, "repo": f"{name}_{cron.get('name', '')}"})


def visit(tree: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield every input of a tree, each after those within it, as upstream visits them."""
    kind = next((kind for kind in COMBINED if tree.get(kind) is not None), None)
    if kind:
        for part in tree[kind]:
            yield from visit(part)
    yield tree


def sort_input(tree: Mapping[str, Any]) -> None:
    """Sort the parts of each combined input by name, in place."""
    for node in visit(tree):
        for kind in COMBINED:
            if node.get(kind) is not None:
                node[kind].sort(key=_input_name)
                break


def _input_name(tree: Mapping[str, Any]) -> str:
    """Return the name by which an input is sorted: its own, or that of the first within it; cron has none."""
    if tree.get("pfs") is not None:
        return str(tree["pfs"].get("name", ""))
    for kind in COMBINED:
        if tree.get(kind):
            return _input_name(tree[kind][0])
    return ""


def _fill_pfs(pfs: dict[str, Any], pipeline: str, project: str, triggers: Counter[str]) -> None:
    repo = pfs.get("repo", "")
    if not pfs.get("branch"):
        pfs["branch"] = "master"
        if pfs.get("trigger") is not None:
            triggers[repo] += 1
            pfs["branch"] = f"{pipeline}-trigger-{triggers[repo]}"
            _fill(pfs["trigger"], {"branch": "master"})
    _fill(pfs, {"project": project, "name": repo, "repo_type": USER})
    if pfs.get("glob"):
        pfs["glob"] = clean_path(pfs["glob"])


def _fill(target: dict[str, Any], defaults: Mapping[str, Any]) -> None:
    """Set the fields that are missing or, as proto3 can't tell the two apart, empty; never make an object."""
    for name, value in defaults.items():
        if isinstance(value, Mapping):
            if target.get(name) is not None:
                _fill(target[name], value)
        elif not target.get(name):
            target[name] = value
