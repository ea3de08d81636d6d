"""Change the keys and values that are kept with projects, repos, branches, commits, pipelines and the cluster.

An *edit* is an object, an operation and its data. The edits of one call happen all or not at all. Data is
written `key=value`, with quotes where needed (`"two lines"="one\\ntwo"`, 'as it is'=x); `replace` takes any
number of pairs, separated by `;`, or a JSON object.

Read next: cli/verbs/edit_metadata.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from pachlet.client import names
from pachlet.client.connection import Connection
from pachlet.errors import Usage
from pachlet.ids import is_commit_id

Edit = dict[str, Any]

KINDS = ("cluster", "project", "repo", "branch", "commit", "pipeline")
OPERATIONS = ("add", "edit", "delete", "replace")

_PART = r"""("(?:[^"\\]|\\.)*"|'[^']*'|[^;="'\s{}]+)"""
_PAIR = re.compile(rf"\s*{_PART}\s*=\s*{_PART}\s*", re.DOTALL)
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def edit_metadata(connection: Connection, edits: Iterable[Edit]) -> None:
    """Make edits, all or none."""
    connection.call("metadata.API", "EditMetadata", {"edits": list(edits)})


def edit(project: str, kind: str, picker: str, operation: str, data: str) -> Edit:
    """Make an edit of the words that `edit metadata` takes."""
    return {**_target(project, kind.lower(), picker), **_change(operation.lower(), data)}


def pairs(text: str) -> dict[str, str]:
    """Read `key=value;key=value` or a JSON object."""
    if text.lstrip().startswith("{"):
        return _json_pairs(text)
    found: dict[str, str] = {}
    at = 0
    while at < len(text) and text[at:].strip():
        match = _PAIR.match(text, at)
        if match is None or (match.end() < len(text) and text[match.end()] != ";"):
            raise Usage(f"{text!r} is not of the form key=value", hint='quote what is special: "a b"="c;d"')
        key, value = _unquoted(match[1]), _unquoted(match[2])
        if key in found:
            raise Usage(f'duplicate key "{key}"')
        found[key] = value
        at = match.end() + 1
    return found


def pick_repo(project: str, text: str) -> dict[str, Any]:
    """Name a repo the way that pickers do."""
    named = names.repo(project, text)
    return {
        "name": {"project": {"name": named["project"]["name"]}, "name": named["name"], "type": named["type"]}
    }


def pick_commit(project: str, text: str) -> dict[str, Any]:
    """Name a commit the way that pickers do: by its id, or as the head of a branch, then ^ for its parents."""
    where, _, rest = text.partition("@")
    base = rest.rstrip("^")
    if not base:
        raise Usage(f'invalid format "{text}": a branch or commit is needed')
    repo = pick_repo(project, where)
    if is_commit_id(base):
        picked: dict[str, Any] = {"id": {"repo": repo, "id": base}}
    else:
        named = names.branch(project, f"{where}@{base}")
        picked = {"branch_head": {"name": {"repo": repo, "name": named["name"]}}}
    if above := len(rest) - len(base):
        return {"ancestor": {"start": picked, "offset": above}}
    return picked


def _target(project: str, kind: str, picker: str) -> Edit:
    match kind:
        case "cluster":
            return {"cluster": {}}
        case "project":
            return {"project": {"name": picker}}
        case "repo":
            return {"repo": pick_repo(project, picker)}
        case "branch":
            named = names.branch(project, picker)
            where = pick_repo(project, picker.partition("@")[0])
            return {"branch": {"name": {"repo": where, "name": named["name"]}}}
        case "commit":
            return {"commit": pick_commit(project, picker)}
        case "pipeline":
            named = names.pipeline(project, picker)
            owner = {"name": named["project"]["name"]}
            return {"pipeline": {"name": {"project": owner, "name": named["name"]}}}
    raise Usage(f'unknown object type "{kind}"', hint=f"one of {', '.join(KINDS)}")


def _change(operation: str, data: str) -> Edit:
    match operation:
        case "add" | "edit":
            found = pairs(data)
            if len(found) != 1:
                raise Usage(f"{operation} takes one key=value, not {data!r}")
            ((key, value),) = found.items()
            return {f"{operation}_key": {"key": key, "value": value}}
        case "delete":
            return {"delete_key": {"key": data}}
        case "replace":
            return {"replace": {"replacement": pairs(data)}}
    raise Usage(f'unknown operation "{operation}"', hint=f"one of {', '.join(OPERATIONS)}")


def _unquoted(text: str) -> str:
    if text.startswith("'"):
        return text[1:-1]
    if text.startswith('"'):
        return _ESCAPE.sub(_character, text[1:-1])
    return text


def _character(escape: re.Match[str]) -> str:
    code = escape[1]
    if len(code) > 1:
        return chr(int(code[1:], 16))
    return _ESCAPED.get(code, code)


def _json_pairs(text: str) -> dict[str, str]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise Usage(f"{text!r} is not JSON: {error}") from None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise Usage(f"{text!r} is not a JSON object of texts")
    return found
