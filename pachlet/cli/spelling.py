"""Understand what Pachyderm 1.x called things, and say what they are called now.

Old tutorials write `put-file repo master /path -f x`; today it is `put file repo@master:/path -f x`. A
hyphenated verb is taken apart, its separate names are joined, flags that are gone are dropped, and one line
on stderr shows the new form. What is gone altogether gets a sentence.

Read next: registry.py (today's verbs).
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import NamedTuple

from pachlet.cli import registry
from pachlet.errors import Usage

_NO_USERS = "this server has no users; it listens on this machine only"

ELSEWHERE = {
    "undeploy": "stop the server with `pachlet stop`",
    "run pipeline": "put new data, use `{program} run cron PIPELINE`, or `{program} rerun pipeline PIPELINE`",
    "garbage-collect": "collect garbage with `{program} gc`",
    "mount": "read with `{program} get file -r`",
    "unmount": "read with `{program} get file -r`",
    "port-forward": "connect directly: `{program} connect HOST:PORT`",
    "auth": _NO_USERS,
    "idp": _NO_USERS,
    "enterprise": "there is nothing to activate",
    "license": "there is nothing to activate",
    "config import-kube": "there is no Kubernetes; connect directly: `{program} connect HOST:PORT`",
    "kube-events": "there is no Kubernetes; see `{program} logs`",
    "logs2": "see `{program} logs`",
    "loki": "see `{program} logs`",
    "restart cluster": "use `pachlet stop` and `pachlet serve`; jobs go on where they were",
    "next datum": "only a step that batches calls it, inside a worker",
    "debug": "see `{program} logs` and `{program} fsck`",
    "misc": "call the server with any gRPC client",
    "shell": "your own shell completes words after `{program} completion bash --install`",
    "buildinfo": "see `{program} version`",
    "extract": "use `{program} backup`, or `pachlet import` from the other server",
    "get tag": "objects have no names of their own any more; see `{program} get file`",
    "get object": "objects have no names of their own any more; see `{program} get file`",
}
"""Verbs of Pachyderm that have no counterpart here, and what to do instead."""


def elsewhere(words: list[str]) -> tuple[str, str]:
    """Return the verb of Pachyderm that was typed and is not here, and what to do instead; else nothing."""
    for typed in (words[:2], words[:1], [*words[0].split("-", 1), *words[1:]][:2]):
        name = " ".join(typed)
        for known in (name, name.removesuffix("s")):
            if known in ELSEWHERE:
                return known, ELSEWHERE[known]
    return "", ""


class Spelled(NamedTuple):
    """A command in today's words, and what to tell whoever typed it."""

    words: list[str]
    note: str = ""


class _Old(NamedTuple):
    """How a 1.x verb reads today."""

    verb: str
    join: Callable[[list[str]], list[str]] | None = None
    """Turns the separate names of 1.x into the joined one of 2.x; without it all words stay as they are."""
    values: str = ""
    """The flags that take a value, so that it is not mistaken for a name."""
    dropped: str = ""
    """The flags that are gone."""


def modernise(words: list[str]) -> Spelled:
    """Return a command in today's spelling; one that is so already is returned as it is."""
    old, rest = _find(words)
    if old is None:
        return Spelled(words)
    if old.join is None:
        modern = [*old.verb.split(), *rest]
    else:
        names, flags = _take_apart(rest, old)
        modern = [*old.verb.split(), *old.join(names), *flags]
    return Spelled(modern, f"today this is written `{{program}} {_quoted(modern)}`")


def _find(words: list[str]) -> tuple[_Old | None, list[str]]:
    first = words[0]
    if words[:2] in (["flush", "commit"], ["flush", "job"], ["get", "logs"]):
        return _OLD["-".join(words[:2])], words[2:]
    if first in _OLD:
        return _OLD[first], words[1:]
    if words[:2] == ["render", "template"] and words[2:] and not words[2].startswith("--"):
        return _Old("render"), words[2:]  # as the word in its help may be read
    if "-" in first and not first.startswith("-"):
        today = registry.find(first.split("-", 1))
        if today is not None:
            return _Old(today.name), words[1:]
    return None, words


def _take_apart(rest: list[str], old: _Old) -> tuple[list[str], list[str]]:
    """Return the names and the flags of a command, without the flags that are gone."""
    names: list[str] = []
    flags: list[str] = []
    waiting = iter(rest)
    for word in waiting:
        if word == "--":
            names.extend(waiting)
        elif word.startswith("-") and word != "-":
            flag, _, attached = word.partition("=")
            taken = [word]
            if flag in old.values.split() and not attached:
                taken.extend([value] if (value := next(waiting, None)) is not None else [])
            if flag not in old.dropped.split():
                flags.extend(taken)
        else:
            names.append(word)
    return names, flags


def _at(names: list[str]) -> list[str]:
    """REPO BRANCH -> REPO@BRANCH"""
    if not names or "@" in names[0] or len(names) == 1:
        return [_slashed(names[0]), *names[1:]] if names else names
    return [f"{names[0]}@{names[1]}", *names[2:]]


def _path(names: list[str]) -> list[str]:
    """REPO BRANCH [PATH] -> REPO@BRANCH:PATH"""
    if not names or "@" in names[0]:
        return names
    if len(names) < 2:
        raise Usage(f"a branch is missing after {names[0]}", hint=f"write {names[0]}@BRANCH")
    path = f":{names[2]}" if len(names) > 2 else ""
    return [f"{names[0]}@{names[1]}{path}", *names[3:]]


def _two_paths(names: list[str]) -> list[str]:
    """REPO BRANCH PATH [REPO BRANCH PATH] -> two joined names"""
    if not names or "@" in names[0]:
        return names
    return [joined for start in range(0, len(names), 3) for joined in _path(names[start : start + 3])]


def _commits(names: list[str]) -> list[str]:
    """REPO/COMMIT -> REPO@COMMIT, as flush-commit had it; `wait commit` takes one"""
    if len(names) > 1 and not any("@" in name or "/" in name for name in names):
        return _at(names)
    return [_slashed(name) for name in names]


def _set_branch(names: list[str]) -> list[str]:
    """REPO COMMIT BRANCH -> REPO@BRANCH --head COMMIT"""
    if len(names) != 3:
        raise Usage("set-branch takes a repo, a commit and a branch")
    return [f"{names[0]}@{names[2]}", "--head", names[1]]


def _slashed(name: str) -> str:
    repo, slash, commit = name.partition("/")
    return f"{repo}@{commit}" if slash and commit and "@" not in name else name


_PUT_VALUES = "-f --file -i --input-file -p --parallelism --split --project"
_PUT_VALUES += " --target-file-datums --target-file-bytes --header-records -m --message"
_PUT_DROPPED = "-c --commit -o --overwrite --split --target-file-datums --target-file-bytes"
_PUT_DROPPED += " --header-records -m --message --lazy"
_LIST_VALUES = "-f --from -n --number --project -o --output --origin"

_OLD: dict[str, _Old] = {
    "put-file": _Old("put file", _path, _PUT_VALUES, _PUT_DROPPED),
    "get-file": _Old(
        "get file", _path, "-o --output -p --parallelism --offset --project", "-p --parallelism"
    ),
    "list-file": _Old("list file", _path, "-o --output --project --history", "--history"),
    "inspect-file": _Old("inspect file", _path, "-o --output --project"),
    "delete-file": _Old("delete file", _path, "--project"),
    "glob-file": _Old("glob file", _path, "-o --output --project"),
    "diff-file": _Old("diff file", _two_paths, "--project --diff-command"),
    "copy-file": _Old("copy file", _two_paths, "--project --src-project --dest-project", "-o --overwrite"),
    "start-commit": _Old("start commit", _at, "-p --parent -m --message --description --project"),
    "finish-commit": _Old("finish commit", _at, "-m --message --description --project"),
    "inspect-commit": _Old("inspect commit", _at, "-o --output --project"),
    "list-commit": _Old("list commit", _at, _LIST_VALUES),
    "subscribe-commit": _Old("subscribe commit", _at, "--from --project -o --output --origin"),
    "flush-commit": _Old(
        "wait commit --downstream", _commits, "-r --repos --project -o --output", "-r --repos"
    ),
    "flush-job": _Old("wait job", _commits, "-p --pipeline --project -o --output", "-p --pipeline"),
    "create-branch": _Old("create branch", _at, "--head -p --provenance --project -t --trigger"),
    "inspect-branch": _Old("inspect branch", _at, "-o --output --project"),
    "delete-branch": _Old("delete branch", _at, "--project"),
    "set-branch": _Old("create branch", _set_branch, "--project"),
    "get-logs": _Old("logs"),
}


def _quoted(words: list[str]) -> str:
    # Braces are doubled because the note is a template for the program's name.
    return shlex.join(words).replace("{", "{{").replace("}", "}}")
