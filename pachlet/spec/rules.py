"""What is looked for in a spec: each rule by its name, how bad it is, and what it is about.

A rule that Pachyderm does not have says so: what breaks it is no reason to refuse a spec that a cluster would
take, but it can't be what anybody meant.

Read next: problems.py (what breaks a rule), lint.py (who looks).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Rule:
    """One thing that is looked for."""

    name: str
    about: str
    severity: Severity = "error"
    ours: bool = False
    """Pachyderm accepts what breaks it, and so do create and update; lint does not."""


_REFUSED = {
    "encoding": "the file is text in UTF-8",
    "syntax": "the file is JSON or YAML",
    "comment": "JSON has no comments",
    "comma": "a comma stands between two fields or items, and nowhere else",
    "quotes": "keys and strings stand in double quotes",
    "word": "true, false, null and numbers are written as JSON writes them",
    "escape": "what follows a backslash is one of the escapes",
    "duplicate-key": "a key stands once in an object",
    "tag": "YAML without tags",
    "too-large": "a spec has an end",
    "no-spec": "there is a spec in the file",
    "unknown-field": "every key is a field of the schema",
    "old-field": "no field of Pachyderm 1.x",
    "wrong-kind": "a field holds what its kind is: a string, a list, a whole number ...",
    "one-of": "of fields that exclude each other, one",
    "pipeline-name": "the pipeline has a name, of letters, digits, _ and -, and not too long",
    "input": "an input is exactly one of pfs, cross, union, join, group and cron",
    "input-name": "inputs have names, and no two the same",
    "repo": "a pfs input names a repo",
    "glob": "a pfs input has a glob that can be read",
    "input-commit": "a pfs input names a branch, not a commit",
    "s3": "an input or output by S3 is complete, and stands where one may be",
    "cron": "a cron input has a schedule that can be read",
    "trigger": "a trigger has a size, a number of commits and schedules that can be read",
    "own-output": "a pipeline does not read what it writes",
    "reprocess-spec": "reprocess_spec is until_success or every_job",
    "secret": "a secret that becomes a variable names the key; an SQL egress names secret and key",
    "service": "a service has one worker and a type that Kubernetes has",
    "spout": "a spout has no input and no autoscaling",
    "toleration": "a toleration has an operator",
    "pod": "pod_spec and pod_patch are strings of JSON",
    "quantity": "memory and disk are quantities: 512Mi, 1.5G",
    "network": "the annotation pachlet/network is allow or deny",
    "tf-job": "no tf_job",
    "refused": "nothing else that Pachyderm refuses",
}
_OURS = {
    "join-on": "each input of a join says what it is joined on, by groups that its glob has",
    "group-by": "each input of a group says what it is grouped by, by groups that its glob has",
    "timeout": "a time that runs out is longer than nothing",
    "command-words": "a command's words are separate strings",
    "egress-url": "an egress has a URL of an object store or a database",
    "egress-format": "an egress to a database says what its files are",
}
_WARNINGS = {
    "outer-join": "outer_join stands in a join",
    "no-command": "there is a command to run",
    "image-latest": "an image has a tag, and one that does not move: not latest",
    "image-unpinned": "an image is named by its digest; a tag can be moved",
    "secret-mount": "a secret says where its value goes: mount_path or env_var",
    "no-effect": "what is written does something",
    "limits": "a limit is not below the request",
    "request-flag": "update, reprocess, dry_run and spec_commit are flags of a request, not part of a spec",
    "same-pipeline": "a file describes each pipeline once",
}

RULES: dict[str, Rule] = {
    **{name: Rule(name, about) for name, about in _REFUSED.items()},
    **{name: Rule(name, about, ours=True) for name, about in _OURS.items()},
    **{name: Rule(name, about, "warning", ours=True) for name, about in _WARNINGS.items()},
}
