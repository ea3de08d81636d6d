"""Bring pipelines in line with their specs and their code, and change nothing else.

Pachyderm skips a datum whose inputs and salt are unchanged, whatever became of the code. So each spec that
names an image of ours carries the digest of that image's code as an annotation, and a pipeline whose code is
not the one that made its output is updated with `reprocess`. The same goes for a changed transform, since a
command is code too. This is all on the client's side and therefore holds on any Pachyderm.

A server that has the code itself (ours) runs `pachlet/NAME` as it is written. Any other needs an image that it can
pull: then a *yard* builds and pushes what changed, and the spec that is sent names it by digest. The annotations are
the same, so what changed is found in the same way.

Read next: pipelines.py, deploy.py; pachlet/worker/images.py says what the digest covers.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from pachlet.client.connection import Connection, Message
from pachlet.client.datums import list_datum
from pachlet.client.jobs import list_job, state_of
from pachlet.client.pipelines import (
    Spec,
    as_message,
    create_pipeline,
    input_repos,
    inspect_pipeline,
    user_spec,
    with_annotation,
    with_project,
)
from pachlet.client.transactions import delete_transaction, finish_transaction, start_transaction
from pachlet.errors import InvalidArgument, NotFound

DIGEST = "pachlet/code-digest"
FILES = "pachlet/code-files"
IMAGE = "pachlet/image"
"""What the spec names, where what is sent names what was pushed for it."""
GIT, DIRTY = "pachlet/git-commit", "pachlet/dirty"
"""Where the code can be read, and whether it was changed since: true or false."""
REPROCESS = "pachlet/reprocess"
"""What one update asked to be run again; pps/skipping.py has the rule."""
_NOTED = (DIGEST, FILES, REPROCESS, IMAGE, GIT, DIRTY)
_OURS = "pachlet/"


@dataclass(frozen=True)
class Code:
    """What an image of ours is made of: one digest for all, and one for each file, to say what changed."""

    digest: str
    files: Mapping[str, str] = field(default_factory=dict)
    git_commit: str = ""
    """Empty where it is not known."""
    is_dirty: bool = False


class Yard(Protocol):
    """Builds and pushes images for a server that pulls them."""

    def repository(self, reference: str) -> str:
        """Return where an image of ours is pushed to, without tag or digest."""

    def push(self, reference: str) -> str:
        """Build an image of ours and push it; return its name with the digest that the registry gave it."""


Action = Literal["created", "updated", "reprocessed", "unchanged"]


@dataclass(frozen=True)
class Applied:
    """What was done to one pipeline, and why."""

    project: str
    pipeline: str
    action: Action
    reason: str

    def __str__(self) -> str:
        return f"{self.pipeline}: {self.reason}"


CodeOf = Callable[[str], Code | None]
"""Says what an image reference is made of; None for an image that is not ours."""


def apply_specs(
    connection: Connection,
    specs: Sequence[Spec],
    code_of: CodeOf,
    *,
    tell: Callable[[Applied], None] | None = None,
    sending: Callable[[str], None] | None = None,
    yard: Yard | None = None,
    prepare: Callable[[], None] = lambda: None,
    dry_run: bool = False,
) -> list[Applied]:
    """Create or update pipelines, upstream ones first; return what was done to each, or would be in a `dry_run`.

    Applying the same specs and code again changes nothing. All that changes does so in one transaction, so
    that a pipeline below several changed ones runs once, and none is left half way by an error. `tell` hears
    of each pipeline when all is done, `sending` the name of each just before its spec is sent. With a `yard` the images
    of what changes are pushed before anything is sent; `prepare` is called in between, to send what they need there.
    """
    ordered = list(in_order([with_project(spec, connection.project) for spec in specs]))
    planned = [_plan(connection, spec, code_of, yard) for spec in ordered]
    changes = [each for each in planned if each.done.action != "unchanged" and not dry_run]
    pushed = {each.to_push: yard.push(each.to_push) for each in changes if yard is not None and each.to_push}
    changes = [replace(each, spec=with_image(each.spec, pushed.get(each.to_push, ""))) for each in changes]
    prepare()
    with _together(connection) if len(changes) > 1 else contextlib.nullcontext():
        for each in changes:
            if sending is not None:
                sending(each.done.pipeline)
            is_new, redo = each.done.action == "created", each.done.action == "reprocessed"
            create_pipeline(connection, each.spec, update=not is_new, reprocess=redo)
    for each in planned:
        if tell is not None:
            tell(each.done)
    return [each.done for each in planned]


@contextlib.contextmanager
def _together(connection: Connection) -> Iterator[None]:
    """Make the calls of the block one transaction."""
    connection.transaction = transaction = start_transaction(connection)
    try:
        yield
    except BaseException:
        connection.transaction = ""
        delete_transaction(connection, transaction)
        raise
    connection.transaction = ""
    finish_transaction(connection, transaction)


def in_order(specs: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield specs so that each comes after those whose output it reads, otherwise in the given order."""
    named: dict[tuple[str, str], dict[str, Any]] = {}
    for spec in specs:
        if named.setdefault(_name(spec), spec) is not spec:
            raise InvalidArgument(f"pipeline {'/'.join(_name(spec))} is specified twice")
    done: set[tuple[str, str]] = set()
    under_way: list[tuple[str, str]] = []

    def visit(name: tuple[str, str]) -> Iterator[dict[str, Any]]:
        if name in under_way:
            circle = " -> ".join("/".join(each) for each in [*under_way[under_way.index(name) :], name])
            raise InvalidArgument(f"pipelines read each other's output in a circle: {circle}")
        if name in done:
            return
        under_way.append(name)
        for upstream in input_repos(named[name]):
            if upstream in named:
                yield from visit(upstream)
        under_way.pop()
        done.add(name)
        yield named[name]

    for name in named:
        yield from visit(name)


def with_code(spec: Spec, code: Code | None) -> dict[str, Any]:
    """Return the spec with what its image is made of among its annotations."""
    if code is None:
        return dict(spec)
    metadata = dict(spec.get("metadata") or {})
    noted = {DIGEST: code.digest, FILES: json.dumps(code.files, sort_keys=True, separators=(",", ":"))}
    if code.git_commit:
        noted |= {GIT: code.git_commit, DIRTY: str(code.is_dirty).lower()}
    metadata["annotations"] = {**(metadata.get("annotations") or {}), **noted}
    return {**spec, "metadata": metadata}


def with_image(spec: Spec, image: str) -> dict[str, Any]:
    """Return the spec with an image of another name; what it named before is noted. '' changes nothing."""
    if not image:
        return dict(spec)
    named = with_annotation(spec, IMAGE, str(spec["transform"]["image"]))
    return {**named, "transform": {**spec["transform"], "image": image}}


@dataclass(frozen=True)
class _Planned:
    """What is to be done to one pipeline, and the spec for it."""

    done: Applied
    spec: dict[str, Any]
    to_push: str = ""
    """The image of ours that the spec is to name as a registry has it."""


def _plan(connection: Connection, spec: dict[str, Any], code_of: CodeOf, yard: Yard | None) -> _Planned:
    project, name = _name(spec)
    reference = str((spec.get("transform") or {}).get("image") or "")
    code = code_of(reference)
    to_push, at = "", ""
    if yard is not None and code is not None:
        to_push, at = reference, yard.repository(reference)

    def planned(action: Action, reason: str) -> _Planned:
        return _Planned(Applied(project, name, action, reason), with_code(spec, code), to_push)

    try:
        info = inspect_pipeline(connection, f"{project}/{name}")
    except NotFound:
        return planned("created", "created")
    stored = user_spec(info)
    compared = spec
    if to_push and stored is not None:
        # Another machine may have built the same code to another digest; what counts is the code, and where it is.
        there = str((stored.get("transform") or {}).get("image") or "")
        compared = with_image(spec, there if there.partition("@")[0] == at else at)
    if reason := _redo_reason(connection, info, stored, compared, code):
        return planned("reprocessed", f"{reason}, reprocessing")
    if reason := _update_reason(connection, info, stored, compared, code):
        return planned("updated", reason)
    return planned("unchanged", "unchanged")


def _redo_reason(
    connection: Connection, info: Message, stored: dict[str, Any] | None, spec: Spec, code: Code | None
) -> str:
    """Say why output that is there must be made anew; empty if it need not."""
    noted = info.details.metadata.annotations
    if stored is not None and "transform" in _changed(stored, spec):
        parts = _differing(_plain(stored).get("transform") or {}, _plain(spec).get("transform") or {})
        if parts != ["image"] or code is None or noted.get(DIGEST, "") != code.digest:
            return f"transform changed ({', '.join(parts)})"
    if code is None:
        return ""
    if DIGEST in noted and noted[DIGEST] != code.digest:
        return f"code changed ({_changed_files(noted[FILES], code)})"
    images = _images(connection, info)
    if DIGEST not in noted and not (images and all(image.startswith(_OURS) for image in images)):
        return "the code that made its output is not recorded"
    # Datums that other code made, say before a file was changed back.
    others = sum(image.startswith(_OURS) and not image.endswith(f"@{code.digest}") for image in images)
    return f"{others} datum{'s were' if others > 1 else ' was'} made by other code" if others else ""


def _update_reason(
    connection: Connection, info: Message, stored: dict[str, Any] | None, spec: Spec, code: Code | None
) -> str:
    """Say why a new version is needed although what is there may stay; empty if none is."""
    if stored is None:
        return "the server does not keep the spec, updated"
    if changed := _changed(stored, spec):
        return f"spec changed ({', '.join(changed)}), updated"
    if code is not None and DIGEST not in info.details.metadata.annotations:
        return "notes what its code is made of"
    newest = None if info.stopped else _newest_job(connection, info)
    if newest is not None and state_of(newest) in ("JOB_FAILURE", "JOB_KILLED"):
        return f"its last job ended badly ({newest.reason or 'no reason given'}), running it again"
    return ""


def _images(connection: Connection, info: Message) -> list[str]:
    """Return what the datums behind the present output ran, as references with digests."""
    newest = _newest_job(connection, info)
    if newest is None:
        return []
    project, name = info.pipeline.project.name, info.pipeline.name
    return [datum.image_id for datum in list_datum(connection, f"{project}/{name}@{newest.job.id}")]


def _newest_job(connection: Connection, info: Message) -> Message | None:
    pipeline = f"{info.pipeline.project.name}/{info.pipeline.name}"
    return next(list_job(connection, pipeline, number=1, details=False), None)


def _changed(stored: Spec, spec: Spec) -> list[str]:
    return _differing(_plain(stored), _plain(spec))


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return sorted(key for key in {*old, *new} if old.get(key) != new.get(key))


def _plain(spec: Spec) -> dict[str, Any]:
    """Return a spec in one spelling, without our own annotations and the flags of a request."""
    from google.protobuf import json_format

    plain = json_format.MessageToDict(as_message(spec), preserving_proto_field_name=True)
    annotations = (plain.get("metadata") or {}).get("annotations") or {}
    kept = {key: value for key, value in annotations.items() if key not in _NOTED}
    metadata = {**(plain.pop("metadata", None) or {}), "annotations": kept}
    for flag in ("update", "reprocess", "dry_run", "spec_commit"):
        plain.pop(flag, None)
    return {**plain, **({"metadata": metadata} if kept or metadata.get("labels") else {})}


def _changed_files(noted: str, code: Code) -> str:
    try:
        before = json.loads(noted) if noted else {}
    except ValueError:
        before = {}
    changed = _differing(before, code.files) if before else []
    shown = ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
    return shown or "how its image is put together"


def _name(spec: Spec) -> tuple[str, str]:
    return str(spec["pipeline"]["project"]["name"]), str(spec["pipeline"]["name"])
