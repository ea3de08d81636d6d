"""What a request must have before anything is looked up: the constraints that upstream notes in its schema.

They hold wherever a message stands, also deep inside of another, and their texts name the fields as Go spells them.

Read next: handlers.py (who asks).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

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


class _Checks(NamedTuple):
    """What is looked at in messages of one kind."""

    go_name: str
    rules: tuple[tuple[str, str], ...]
    parts: tuple[tuple[str, bool], ...]
    """The fields, by number, whose messages may have constraints or hold some that have; and whether each is a list."""


def _first_problem(message: Any) -> str | None:
    checks = _checks(message.DESCRIPTOR)
    for name, text in checks.rules:
        if _breaks(message, name, text):
            return f"invalid {checks.go_name}.{_camel(name)}: {text}"
    for field, index, part in _parts(message, checks):
        problem = _first_problem(part)
        if problem is not None:
            place = f"{checks.go_name}.{_camel(field)}{index}"
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


def _parts(message: Any, checks: _Checks) -> Iterator[tuple[str, str, Any]]:
    """Yield the messages within a message that are looked at, each with its field and, in a list, its place."""
    for name, is_list in checks.parts:
        if is_list:
            for number, each in enumerate(getattr(message, name)):
                yield name, f"[{number}]", each
        elif message.HasField(name):
            yield name, "", getattr(message, name)


def _camel(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


@cache
def _checks(descriptor: Any) -> _Checks:
    name = descriptor.full_name.removeprefix(f"{descriptor.file.package}.")
    fields = sorted(descriptor.fields, key=lambda field: field.number)
    parts = ((field.name, field.is_repeated) for field in fields if _may_hold_constrained(field))
    return _Checks("_".join(name.split(".")), RULES.get(descriptor.full_name, ()), tuple(parts))


def _may_hold_constrained(field: Any) -> bool:
    kind = field.message_type
    return kind is not None and not kind.GetOptions().map_entry and _is_constrained(kind)


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
