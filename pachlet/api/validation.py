"""What a request must have before anything is looked up: the constraints that upstream notes in its schema.

They hold wherever a message stands, also deep inside of another, and their texts name the fields as Go spells them.

Read next: handlers.py (who asks).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from pachlet.errors import InvalidArgument

REQUIRED = "value is required"
ONE_BYTE = "value length must be at least 1 bytes"
ONE_RUNE = "value length must be at least 1 runes"
NOT_NEGATIVE = "value must be greater than or equal to 0"

RULES: dict[str, tuple[tuple[str, str], ...]] = {
    "pfs_v2.DropCommitSetRequest": (("commit_set", REQUIRED),),
    "pfs_v2.FindCommitsRequest": (("start", REQUIRED),),
    "pfs_v2.DeleteBranchRequest": (("branch", REQUIRED),),
    "pfs_v2.InspectProjectRequest": (("project", REQUIRED),),
    "pfs_v2.InspectProjectV2Request": (("project", REQUIRED),),
    "pfs_v2.CopyFile": (("src", REQUIRED),),
    "pps_v2.Pipeline": (("name", ONE_BYTE),),
    "pps_v2.InspectPipelineRequest": (("pipeline", REQUIRED),),
    "pps_v2.DeletePipelineRequest": (("pipeline", REQUIRED),),
    "pps_v2.RerunPipelineRequest": (("pipeline", REQUIRED),),
    "pps_v2.RunCronRequest": (("pipeline", REQUIRED),),
    "pps_v2.InspectJobSetRequest": (("job_set", REQUIRED),),
    "pps_v2.UpdateJobStateRequest": (("job", REQUIRED),),
    "pps_v2.DeleteSecretRequest": (("secret", REQUIRED),),
    "pps_v2.InspectSecretRequest": (("secret", REQUIRED),),
    "pps_v2.StartCreateDatumRequest": (("input", REQUIRED), ("number", NOT_NEGATIVE)),
    "pps_v2.ContinueCreateDatumRequest": (("number", NOT_NEGATIVE),),
    "transaction_v2.DeleteTransactionRequest": (("transaction", REQUIRED),),
    "transaction_v2.InspectTransactionRequest": (("transaction", REQUIRED),),
    "transaction_v2.FinishTransactionRequest": (("transaction", REQUIRED),),
    "metadata.Edit": (("target", REQUIRED), ("op", REQUIRED)),
    "metadata.Edit.AddKey": (("key", ONE_RUNE),),
    "metadata.Edit.EditKey": (("key", ONE_RUNE),),
    "metadata.Edit.DeleteKey": (("key", ONE_RUNE),),
    "metadata.Edit.Replace": (("replacement", ONE_RUNE),),
    "taskapi.ListTaskRequest": (("group", REQUIRED),),
}
"""By message, its fields (or oneofs) that are constrained, each with what is said of one that breaks the rule."""


def validate(message: Any, prefix: str) -> None:
    """Raise InvalidArgument for the first constraint that a message breaks."""
    found = _first_problem(message)
    if found is not None:
        raise InvalidArgument(f"{prefix}: {found}")


def _first_problem(message: Any) -> str | None:
    descriptor = message.DESCRIPTOR
    if not _is_constrained(descriptor):
        return None
    go_name = "_".join(descriptor.full_name.removeprefix(f"{descriptor.file.package}.").split("."))
    for name, text in RULES.get(descriptor.full_name, ()):
        if _breaks(message, name, text):
            return f"invalid {go_name}.{_camel(name)}: {text}"
    for field, index, part in _parts(message):
        problem = _first_problem(part)
        if problem is not None:
            place = f"{go_name}.{_camel(field)}{index}"
            return f"invalid {place}: embedded message failed validation | caused by: {problem}"
    return None


def _breaks(message: Any, name: str, text: str) -> bool:
    if text == REQUIRED:
        is_oneof = name in message.DESCRIPTOR.oneofs_by_name
        return message.WhichOneof(name) is None if is_oneof else not message.HasField(name)
    value = getattr(message, name)
    if text == NOT_NEGATIVE:
        return bool(value < 0)
    return "" in value if message.DESCRIPTOR.fields_by_name[name].message_type else not value


def _parts(message: Any) -> Iterator[tuple[str, str, Any]]:
    """Yield the messages within a message, each with its field and, in a list, its place."""
    for field, value in message.ListFields():
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        if field.is_repeated:
            for number, each in enumerate(value):
                yield field.name, f"[{number}]", each
        else:
            yield field.name, "", value


def _camel(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


@cache
def _is_constrained(descriptor: Any) -> bool:
    """Tell whether a message, or one that may stand within it, has constraints."""
    found: set[str] = set()
    todo = [descriptor]
    while todo:
        each = todo.pop()
        if each.full_name not in found:
            found.add(each.full_name)
            todo += [field.message_type for field in each.fields if field.message_type is not None]
    return bool(found & RULES.keys())
