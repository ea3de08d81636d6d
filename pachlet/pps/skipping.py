"""Decide whether a datum runs or is kept: the rule, whole.

A datum is kept when the base job (the nearest ancestor that ended well) has one under the same key that succeeded: its
output stays where it is. What is in the key depends on the policy of the pipeline:

    upstream     the datum's id (input names, repos, branches and paths) and its hash: what is in its files, those of
                 `reference` inputs left out, and the pipeline's salt. As in Pachyderm, code is no part of it: with a
                 new image or command old results stay until an update with `reprocess` draws a new salt.
    code-aware   the same, and the code: the digest of the image, and of the parts of the transform that decide what
                 a run of it gives. A changed line of code makes all run again, without `reprocess`.

The policy is the server's (`pachlet serve --skip`), or that of the annotation `pachlet/skip` in the spec's metadata. A
real Pachyderm stores that annotation and follows `upstream`.

An update can ask for something between nothing and everything by the annotation `pachlet/reprocess`: `failed` runs
again what failed or was recovered, and what is new; a glob such as `/2017*` also what has an input path that it
matches. Either keeps the rest whatever became of the code, and from then on that counts as made by the new code. It
is asked once, by the version that carries it. A real Pachyderm knows nothing of it: there a plain update already does
what `failed` says, and for a glob there is nothing short of reprocessing all.

Read next: planning.py (who asks), datums.py (ids and hashes).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pachlet.errors import InvalidArgument
from pachlet.globs import Glob
from pachlet.metadb.connect import Row
from pachlet.metadb.connect import Transaction as Statements
from pachlet.metadb.stored_json import read_json
from pachlet.pps.datum import Datum
from pachlet.pps.states import DatumState

SKIP = "pachlet/skip"
REPROCESS = "pachlet/reprocess"
FAILED = "failed"

_NO_CODE = ("image", "err_cmd", "err_stdin", "debug", "dockerfile", "image_pull_secrets", "memory_volume")
"""What of a transform makes no difference to the result of a datum that succeeds; the image counts by its digest."""


class Policy(StrEnum):
    """What is part of a datum's key."""

    UPSTREAM = "upstream"
    CODE_AWARE = "code-aware"


class Verdict(StrEnum):
    """What becomes of a datum, and why."""

    KEPT = "kept"
    NEW = "new"
    CHANGED = "changed"
    REPROCESSED = "reprocessed"
    FAILED = "failed"
    RECOVERED = "recovered"
    ASKED = "asked"
    CODE = "code"
    EVERY_JOB = "every-job"


@dataclass(frozen=True)
class Rule:
    """The rule as it stands for one job and its base."""

    policy: Policy
    code: str
    """What the job runs, as `code_of` says it."""
    salt_is_new: bool = False
    runs_every_job: bool = False
    takes_any_code: bool = False
    """Whether the results of other code were declared good, too."""
    globs: tuple[Glob, ...] = ()
    """Which paths were asked for since the base job."""

    def judge(self, datum: Datum, hash: str, before: Row | None) -> Verdict:
        """Say what becomes of a datum with a hash; `before` is the base job's datum of the same id."""
        if before is None:
            return Verdict.NEW
        if self.runs_every_job:
            return Verdict.EVERY_JOB
        if before["state"] != DatumState.SUCCESS:
            return Verdict.FAILED if before["state"] == DatumState.FAILED else Verdict.RECOVERED
        if before["hash"] != hash:
            return Verdict.REPROCESSED if self.salt_is_new else Verdict.CHANGED
        if any(glob.match(file.path) is not None for glob in self.globs for file in datum.files):
            return Verdict.ASKED
        is_other = self.policy is Policy.CODE_AWARE and (before["counts_as"] or before["code"]) != self.code
        return Verdict.CODE if is_other and not self.takes_any_code else Verdict.KEPT


def policy_of(spec: Mapping[str, Any], default: Policy) -> Policy:
    """Return the policy of a pipeline on a server with a default."""
    return Policy(_annotations(spec).get(SKIP) or default)


def check_annotations(spec: Mapping[str, Any]) -> None:
    """Raise InvalidArgument if what a spec says about skipping can't be followed."""
    annotations = _annotations(spec)
    policy, asked = annotations.get(SKIP), annotations.get(REPROCESS)
    if policy and policy not in list(Policy):
        raise InvalidArgument(
            f'the annotation {SKIP} is "{policy}", wanted {" or ".join(Policy)}',
            hint="leave it out to follow what the server does",
        )
    if asked and asked != FAILED:
        if not asked.startswith("/"):
            raise InvalidArgument(
                f'the annotation {REPROCESS} is "{asked}", wanted {FAILED} or a glob that begins with /',
                hint="`update pipeline --reprocess` runs everything again",
            )
        Glob(asked)


def code_of(image_digest: str, transform: Mapping[str, Any]) -> str:
    """Return what decides the result of a datum besides its files: the image's digest, and one of the transform."""
    parts = {name: value for name, value in transform.items() if value and name not in _NO_CODE}
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return f"{image_digest}+{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def asked_since(db: Statements, pipeline: int, above: int, version: int) -> tuple[list[str], bool]:
    """Return what the versions after `above` asked to be run again, and whether `version` itself asked."""
    asked = [
        _annotations(read_json(row["effective_spec"])).get(REPROCESS, "")
        for row in db.all("pipeline_versions_between", pipeline=pipeline, above=above, version=version)
    ]
    return [each for each in asked if each], bool(asked and asked[-1])


def globs_of(asked: Sequence[str]) -> tuple[Glob, ...]:
    """Return the globs among what was asked."""
    return tuple(Glob(each) for each in dict.fromkeys(asked) if each != FAILED)


def _annotations(spec: Mapping[str, Any]) -> Mapping[str, str]:
    return (spec.get("metadata") or {}).get("annotations") or {}
