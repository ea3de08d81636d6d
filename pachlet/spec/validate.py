"""Refuse a spec that can't make a pipeline, in upstream's order and words.

Clients and their tests match on these texts. The spec is an effective one: its defaults are filled in. What
needs the server's state (does the repo exist? the secret?) is checked where that state is.

Read next: defaults.py (what was filled in), schedule.py, paths.py (names).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pachlet.errors import Refused
from pachlet.globs import Glob
from pachlet.paths import check_name, check_pipeline_name, check_pipeline_start
from pachlet.spec.defaults import COMBINED, visit
from pachlet.spec.quantity import parse_bytes
from pachlet.spec.schedule import parse_schedule
from pachlet.spec.triggers import check_conditions

Object = Mapping[str, Any]

NETWORK = "pachlet/network"
"""The annotation by which a pipeline says whether its steps need the network."""

OBJECT_STORES = ("s3", "gs", "gcs", "minio", "wasb", "azblob", "file")
"""The schemes of URLs that files are egressed to, and put from."""

DATABASES = ("postgres", "postgresql", "mysql", "sqlite")
"""The schemes of URLs of databases that rows are egressed to; SQLite's has no secret."""


def validate_pipeline(spec: Object) -> None:
    """Raise Refused with the first reason why no pipeline can be made of an effective spec."""
    _check_request(spec)
    _check_secrets(spec)
    check_pipeline_start(spec["pipeline"]["name"])
    check_name("branch", spec["output_branch"])
    if not spec["transform"].get("image"):
        raise Refused("invalid transform: pipeline transform must contain an image")
    _check_command(spec["transform"])
    if spec.get("input") is not None:
        validate_input(spec["input"])
    _check_egress(spec.get("egress") or {})
    _check_service(spec)
    _check_resources(spec)
    _check_network((spec.get("metadata") or {}).get("annotations") or {})
    spout = spec.get("spout")
    if spout is not None and spout.get("service") is None and spec.get("input") is not None:
        raise Refused("spout pipelines (without a service) must not have an input")


def validate_defaults(spec: Object) -> None:
    """Raise Refused with the first reason why no spec can be right over these defaults, filled in."""
    if spec.get("tf_job") is not None:
        raise Refused("embedding TFJobs in pipelines is not supported yet")
    _check_reprocess(spec)
    _check_tolerations(spec.get("tolerations") or [])
    _check_service(spec)


def validate_input(tree: Object) -> None:
    """Raise Refused with the first reason why no datums can be made of a filled-in input."""
    _check_names(set(), tree)
    for node in visit(tree):
        _check_input(node)


def _check_request(spec: Object) -> None:
    pipeline = spec.get("pipeline")
    if pipeline is None:
        raise Refused("invalid pipeline spec: request.Pipeline cannot be nil")
    if not pipeline.get("name"):
        raise Refused("invalid pipeline spec: request.Pipeline.Name cannot be empty")
    check_pipeline_name(pipeline["name"], (pipeline.get("project") or {}).get("name", ""))
    if spec.get("tf_job") is not None:
        raise Refused("embedding TFJobs in pipelines is not supported yet")
    if spec.get("s3_out") and (spec.get("service") is not None or spec.get("spout") is not None):
        raise Refused("s3 output is not supported in spouts or services")
    if spec.get("transform") is None:
        raise Refused("pipeline must specify a transform")
    _check_reprocess(spec)
    if spec.get("spout") is not None and spec.get("autoscaling"):
        raise Refused("autoscaling can't be used with spouts (spouts aren't triggered externally)")
    _check_tolerations(spec.get("tolerations") or [])


def _check_reprocess(spec: Object) -> None:
    if spec.get("reprocess_spec") not in ("until_success", "every_job"):
        raise Refused(
            "invalid pipeline spec: ReprocessSpec must be one of 'until_success' or 'every_job'",
            hint="until_success, the default, skips datums that were processed before",
        )


def _check_tolerations(tolerations: list[Object]) -> None:
    problem = "cannot omit key/value comparison operator; specify EQUAL or EXISTS"
    wrong = [
        f"toleration {number}/{len(tolerations)}: {problem}"
        for number, toleration in enumerate(tolerations, 1)
        if toleration.get("operator", "EMPTY") == "EMPTY"
    ]
    if wrong:
        raise Refused("; ".join(wrong))


def _check_secrets(spec: Object) -> None:
    for secret in spec["transform"].get("secrets") or []:
        if secret.get("env_var") and not secret.get("key"):
            raise Refused(f"secret {secret.get('name', '')} has env_var set but is missing key")


def _check_command(transform: Object) -> None:
    """Refuse what no program can be started with; upstream finds that out when it starts a pod."""
    given = [
        *((name, each) for name in ("cmd", "err_cmd") for each in transform.get(name) or []),
        *((name, transform.get(name) or "") for name in ("working_dir", "user")),
        *((f"env {key}", value) for key, value in (transform.get("env") or {}).items()),
    ]
    for name, text in given:
        if "\0" in text:
            raise Refused(
                f"invalid transform: {name} has the character NUL in it",
                hint="no program can be given it: write it into a file",
            )
    secrets = [each.get("env_var") or "" for each in transform.get("secrets") or []]
    for name in [*(transform.get("env") or {}), *filter(None, secrets)]:
        if not name or "=" in name or "\0" in name:
            raise Refused(
                f"invalid transform: {name!r} is no name of an environment variable",
                hint="a name is not empty, and has neither = nor NUL in it",
            )


def _check_names(taken: set[str], tree: Object) -> None:
    """Refuse a name that two inputs of one datum would share; `taken` gets the names of this tree added."""
    for leaf in (tree.get("pfs"), tree.get("cron")):
        if leaf is not None:
            _check_name(taken, leaf.get("name", ""))
            return
    if tree.get("union") is not None:
        # The parts of a union may share names with each other, but with nothing outside of it.
        within = [set(taken) for _ in tree["union"]]
        for names, part in zip(within, tree["union"], strict=True):
            _check_names(names, part)
        taken.update(*within)
        return
    for kind in ("cross", "join", "group"):
        if tree.get(kind) is not None:
            for part in tree[kind]:
                _check_names(taken, part)
            return


def _check_name(taken: set[str], name: str) -> None:
    if not name:
        raise Refused("input must specify a name")
    # The slash and the dots are ours to refuse: a step would find its files outside of /pfs.
    if name in ("out", ".env", ".", "..") or "/" in name:
        raise Refused(f"input cannot be named {name}", hint='give the input another "name"')
    if name in taken:
        raise Refused(f'name "{name}" was used more than once', hint='give each input a "name" of its own')
    taken.add(name)


def _check_input(node: Object) -> None:
    """Check one input; those within it have been checked."""
    kinds = [kind for kind in ("pfs", *COMBINED, "cron") if node.get(kind) is not None]
    if node.get("pfs") is not None:
        _check_pfs(node["pfs"])
    if len(kinds) > 1:
        raise Refused("multiple input types set", hint=f"one input has both {kinds[0]} and {kinds[1]}")
    if not kinds:
        raise Refused("no input set", hint="an input is one of pfs, cross, union, join, group and cron")
    if not node[kinds[0]] and kinds[0] in COMBINED:  # on the wire, an empty list is none
        raise Refused("no input set", hint=f"the {kinds[0]} has no inputs in it")
    if kinds[0] in ("join", "group", "union") and any(
        (leaf.get("pfs") or {}).get("s3") for leaf in visit(node)
    ):
        raise Refused(f"S3 inputs in {kinds[0]} expressions are not supported")
    if kinds[0] == "cron":
        parse_schedule(node["cron"].get("spec", ""))


def _check_pfs(pfs: Object) -> None:
    if not pfs.get("repo"):
        raise Refused("input must specify a repo", hint='such as "repo": "images"')
    if not pfs.get("branch"):
        raise Refused("input must specify a branch")
    if pfs.get("s3"):
        _check_s3(pfs)
    elif not pfs.get("glob"):
        hint = 'such as "/" for all files in one datum, "/*" for a datum of each file or directory at the top'
        raise Refused("input must specify a glob", hint=hint)
    if pfs.get("commit"):
        raise Refused("input cannot come from a commit; use a branch with head pointing to the commit")
    Glob(pfs["glob"])
    try:
        check_conditions(pfs.get("trigger") or {})
    except Refused as error:
        raise Refused(f"could not create/update trigger branch: {error}", hint=error.hint) from None


def _check_s3(pfs: Object) -> None:
    if pfs.get("glob") != "/":
        raise Refused(
            "inputs that set 's3' to 'true' must also set 'glob', to \"/\", as the S3 gateway is only able to "
            "expose data at the commit level"
        )
    for other in ("lazy", "empty_files"):
        if pfs.get(other):
            raise Refused(
                f"input cannot specify both 's3' and '{other}', as 's3' requires input data to be accessed via "
                "Pachyderm's S3 gateway rather than the file system"
            )


def _check_egress(egress: Object) -> None:
    if egress.get("sql_database") is not None:
        check_database_secret(egress["sql_database"])


def check_database_secret(database: Object) -> None:
    """Raise Refused if an egress to a database does not say where its password is."""
    secret = database.get("secret")
    if secret is None and str(database.get("url")).startswith("sqlite:"):
        return  # a file has no password
    if secret is None:
        raise Refused("egress.sql_database.secret is required")
    if not secret.get("name") or not secret.get("key"):
        raise Refused("egress.sql_database.secret.name and egress.sql_database.secret.key are required")


def _check_resources(spec: Object) -> None:
    for field in ("resource_requests", "resource_limits"):
        resources = spec.get(field) or {}
        for name in ("memory", "disk"):
            if resources.get(name):
                try:
                    parse_bytes(resources[name])
                except Refused as problem:
                    raise Refused(f"{field}.{name}: {problem.message}", hint=problem.hint) from None
        if resources.get("cpu", 0) < 0:
            raise Refused(f"{field}.cpu: {resources['cpu']:g} is less than nothing", hint="such as 0.5 or 2")


def _check_network(annotations: Object) -> None:
    found = annotations.get(NETWORK, "deny")
    if found not in ("allow", "deny"):
        raise Refused(f"the annotation {NETWORK} can't be {found!r}", hint="write allow or deny")


def _check_service(spec: Object) -> None:
    service = spec.get("service")
    parallelism = spec.get("parallelism_spec")
    if service is not None and parallelism is not None and parallelism.get("constant", 0) != 1:
        raise Refused("services can only be run with a constant parallelism of 1")
    for field, name in (("pod_spec", "PodSpec"), ("pod_patch", "PodPatch")):
        if spec.get(field) and not _is_json(spec[field]):
            raise Refused(f"malformed {name}", hint=f"{field} is a string that holds JSON")
    if service is not None and service["type"] not in ("ClusterIP", "LoadBalancer", "NodePort"):
        raise Refused(f"the following service type {service['type']} is not allowed")


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
