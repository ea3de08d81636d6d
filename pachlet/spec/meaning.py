"""Find what can't be right in a spec whose fields are all of their kinds.

validate.py refuses the same things, one at a time and in upstream's words, as clients expect of a server; here
all of them are found, at their places, and with them what a server accepts and nobody can mean.

Read next: meaning_inputs.py, meaning_resources.py, rules.py (all that is looked for), lint.py (who asks).
"""

from __future__ import annotations

import difflib
import json
import re
import shlex
from collections.abc import Mapping
from typing import Any

from pachlet.errors import Refused
from pachlet.paths import check_name, check_pipeline_name, check_pipeline_start
from pachlet.spec.meaning_inputs import check_input
from pachlet.spec.meaning_resources import check_resources
from pachlet.spec.remarks import Remarks
from pachlet.spec.validate import DATABASES, OBJECT_STORES

Object = Mapping[str, Any]

_REPROCESS = ("until_success", "every_job")
_SERVICES = ("ClusterIP", "LoadBalancer", "NodePort")
_FLAGS = ("update", "reprocess", "dry_run", "spec_commit")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def check_meaning(remarks: Remarks) -> None:
    """Report all that can't be right."""
    spec = remarks.spec.json
    _check_name(remarks, spec.get("pipeline") or {})
    _check_transform(remarks, spec)
    _check_running(remarks, spec)
    check_resources(remarks, spec)
    _check_egress(remarks, spec.get("egress") or {})
    _check_service(remarks, spec)
    if spec.get("input") is not None:
        check_input(remarks, spec["input"], spec.get("pipeline") or {})
    for name in _FLAGS:
        if spec.get(name) is not None:
            hint = (
                "delete it: the server sets it"
                if name == "spec_commit"
                else "delete it: it is a flag of the verb"
            )
            remarks.wanted("request-flag", name, "none in a spec", hint=hint)


def _check_name(remarks: Remarks, pipeline: Object) -> None:
    name = pipeline.get("name")
    if not name:
        return  # told already
    try:
        check_pipeline_name(name, (pipeline.get("project") or {}).get("name") or "")
        check_pipeline_start(name)
    except Refused as error:
        remarks.refused("pipeline-name", "pipeline.name", error)


def _check_transform(remarks: Remarks, spec: Object) -> None:
    transform = spec.get("transform")
    if spec.get("tf_job") is not None:
        problem = "embedding TFJobs in pipelines is not supported yet"
        remarks.say("tf-job", "tf_job", problem, hint="write a transform")
    if transform is None:
        if spec.get("tf_job") is None:
            hint = '"transform": {"image": "...", "cmd": ["..."]}'
            remarks.wanted("no-command", "transform", "a transform with a command", hint=hint)
        return
    _check_command(remarks, transform)
    _check_image(remarks, transform)
    _check_secrets(remarks, transform.get("secrets") or [])
    for name in transform.get("env") or {}:
        if not _VARIABLE.fullmatch(name):
            path = (
                f"transform.env.{name}" if f"transform.env.{name}" in remarks.spec.nodes else "transform.env"
            )
            problem = f"found the variable {json.dumps(name)[:60]}, wanted a name of letters, digits and _"
            remarks.say("no-effect", path, problem, hint="a shell can't read it by this name")
    for at, code in enumerate(transform.get("accept_return_code") or []):
        if not 0 <= code <= 255:
            remarks.wanted("no-effect", f"transform.accept_return_code[{at}]", "a status from 0 to 255")


def _check_command(remarks: Remarks, transform: Object) -> None:
    for name, what in (("cmd", "stdin"), ("err_cmd", "err_stdin")):
        words = transform.get(name) or []
        if len(words) == 1:
            _split_words(remarks, name, words[0])
        if words:
            continue
        if name == "cmd":
            hint = (
                f'"cmd": ["sh"] would run the {what}'
                if transform.get(what)
                else 'such as "cmd": ["python3", "/edges.py"]'
            )
            remarks.wanted("no-command", "transform.cmd", "a command: without one each job fails", hint=hint)
        elif transform.get(what):
            problem = f"found {what} without {name}, wanted a command that reads it"
            remarks.say("no-effect", f"transform.{what}", problem, hint=f'such as "{name}": ["sh"]')


def _split_words(remarks: Remarks, name: str, command: str) -> None:
    try:
        words = shlex.split(command)
    except ValueError:
        return
    path = f"transform.{name}[0]"
    node = remarks.spec.nodes.get(path)
    if node is None or len(words) < 2:
        return
    fixed = json.dumps(words, ensure_ascii=False)
    hint = f'write "{name}": {fixed}' if len(fixed) <= 200 else "write each word as a string of its own"
    problem = f"found {json.dumps(command[:40], ensure_ascii=False)}, wanted a string for each word: no shell cuts it"
    edits = remarks.source.replace_item(node, words)
    remarks.say("command-words", path, problem, hint=hint, edits=edits)


def _check_image(remarks: Remarks, transform: Object) -> None:
    image = transform.get("image")
    path = "transform.image"
    if image == "":
        remarks.wanted(
            "no-effect", path, "the name of an image", hint='such as "pachlet/NAME", or leave it out'
        )
    if not image or image.startswith("pachlet/"):
        return  # a folder of the code: its content is its version
    name = image.rpartition("/")[2]
    if "@sha256:" in image:
        return
    if ":" not in name or name.endswith(":latest"):
        hint = f"such as {name.partition(':')[0]}:1.2, or @sha256:..."
        remarks.wanted("image-latest", path, "a tag that does not move", hint=hint)
    else:
        hint = "a tag can be moved to other code; the results would not say so"
        remarks.wanted("image-unpinned", path, "a digest: @sha256:...", hint=hint)


def _check_secrets(remarks: Remarks, secrets: list[Object]) -> None:
    for at, secret in enumerate(secrets):
        path = f"transform.secrets[{at}]"
        if secret.get("env_var") and not secret.get("key"):
            hint = "a variable holds one value; say which key of the secret it is"
            remarks.wanted("secret", f"{path}.key", "the key whose value the variable gets", hint=hint)
        if not secret.get("name"):
            remarks.wanted("secret-mount", f"{path}.name", "the name of a secret")
        if not secret.get("env_var") and not secret.get("mount_path"):
            remarks.wanted("secret-mount", path, "mount_path or env_var: without one nothing sees the secret")


def _check_running(remarks: Remarks, spec: Object) -> None:
    if branch := spec.get("output_branch"):
        try:
            check_name("branch", branch)
        except Refused as error:
            remarks.refused("refused", "output_branch", error)
    how = spec.get("reprocess_spec")
    if how is not None and how != "" and how not in _REPROCESS:
        word = re.sub(r"\W+", "_", how.lower())
        near = difflib.get_close_matches(word, _REPROCESS, n=1)
        hint = "until_success, the default, skips datums that were processed before"
        meant = near[0] if near else None
        remarks.wanted(
            "reprocess-spec", "reprocess_spec", "until_success or every_job", hint=hint, meant=meant
        )
    for name in ("datum_timeout", "job_timeout"):
        if (spec.get(name) or "1s").startswith("-") or spec.get(name) in ("0s",):
            remarks.wanted("timeout", name, "a time longer than nothing")
    if (spec.get("datum_tries") or 0) < 0:
        remarks.wanted("no-effect", "datum_tries", "how often a datum is tried")
    sets = spec.get("datum_set_spec") or {}
    if sets.get("per_worker") and (sets.get("number") or sets.get("size_bytes")):
        problem = "found per_worker beside number or size_bytes, wanted one way to divide datums"
        remarks.say("no-effect", "datum_set_spec.per_worker", problem)
    operators = [each.get("operator") or "EMPTY" for each in spec.get("tolerations") or []]
    for at, operator in enumerate(operators):
        if operator == "EMPTY":
            remarks.wanted("toleration", f"tolerations[{at}].operator", "EXISTS or EQUAL")
    for name in ("pod_spec", "pod_patch"):
        if spec.get(name) and not _is_json(spec[name]):
            remarks.wanted("pod", name, "a string that holds JSON")


def _check_egress(remarks: Remarks, egress: Object) -> None:
    database = egress.get("sql_database")
    if database is not None:
        secret = database.get("secret") or {}
        scheme = (database.get("url") or "").partition("://")[0]
        for name in ("name", "key"):
            if not secret.get(name) and scheme != "sqlite":
                path = f"egress.sql_database.secret.{name}"
                remarks.wanted("secret", path, f"the {name} of the secret that holds the password")
    store = egress.get("object_storage")
    urls = {
        "egress.URL": egress.get("URL"),
        "egress.object_storage.url": (store or {}).get("url", "") if store is not None else None,
    }
    for path, url in urls.items():
        if url is not None and url.partition("://")[0] not in OBJECT_STORES:
            remarks.wanted("egress-url", path, "a URL such as s3://bucket/path")
    if database is None:
        return
    if scheme not in DATABASES:
        hint = "such as postgresql://user@host/database"
        remarks.wanted("egress-url", "egress.sql_database.url", "the URL of a database", hint=hint)
    if (database.get("file_format") or {}).get("type", "UNKNOWN") == "UNKNOWN":
        remarks.wanted("egress-format", "egress.sql_database.file_format.type", "CSV, JSON or PARQUET")


def _check_service(remarks: Remarks, spec: Object) -> None:
    service, spout = spec.get("service"), spec.get("spout")
    if spec.get("s3_out") and (service is not None or spout is not None):
        remarks.say("s3", "s3_out", "s3 output is not supported in spouts or services")
    if spout is not None and spec.get("autoscaling"):
        problem = "autoscaling can't be used with spouts (spouts aren't triggered externally)"
        remarks.say("spout", "autoscaling", problem, hint="delete it")
    if spout is not None and spout.get("service") is None and spec.get("input") is not None:
        problem = "spout pipelines (without a service) must not have an input"
        remarks.say("spout", "input", problem, hint="delete the input, or the spout")
    if service is None:
        return
    workers = (spec.get("parallelism_spec") or {}).get("constant")
    if spec.get("parallelism_spec") is not None and workers != 1:
        path = "parallelism_spec.constant"
        remarks.wanted("service", path, "1: services can only be run with a constant parallelism of 1")
    kind = service.get("type")
    if kind and kind not in _SERVICES:
        near = difflib.get_close_matches(kind.lower(), [each.lower() for each in _SERVICES], n=1, cutoff=0.5)
        meant = next((each for each in _SERVICES if near and each.lower() == near[0]), None)
        remarks.wanted("service", "service.type", f"one of {', '.join(_SERVICES)}", meant=meant)
    if not service.get("internal_port"):
        remarks.wanted("no-effect", "service.internal_port", "the port on which the code listens")


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
