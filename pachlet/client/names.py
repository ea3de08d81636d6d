"""Turn what a user types into the nested names of a request, and back.

    repo             [PROJECT/]NAME[.TYPE]
    branch           REPO@BRANCH
    commit           REPO@BRANCH | REPO@COMMIT | REPO@BRANCH=COMMIT, then ^ ~ or . for its ancestors
    file             COMMIT:PATH
    job              [PROJECT/]PIPELINE@JOB

The project in front is pachlet's addition: it makes what the engine prints (`project/repo@master`) typeable.
A request always names the repo by itself and, when one was given, the branch as well: servers from 2.6 on
read the first, python-pachyderm's generation read the second.

Read next: commits.py (who asks).
"""

from __future__ import annotations

import re
from typing import Any

from pachlet.errors import Usage
from pachlet.ids import is_commit_id
from pachlet.paths import USER

Name = dict[str, Any]

_ANCESTRY = re.compile(r"[\^~.]")


def project(name: str) -> Name:
    """Name a project."""
    return {"name": name}


def repo(default_project: str, text: str) -> Name:
    """Name a repo; it belongs to `default_project` unless `text` says otherwise."""
    before, slash, name = text.rpartition("/")
    name, _, kind = name.partition(".")
    if not name or (slash and not before):
        raise Usage(f'invalid format "{text}": repo cannot be empty', hint="write REPO or PROJECT/REPO")
    return {"name": name, "type": kind or USER, "project": project(before or default_project)}


def branch(default_project: str, text: str) -> Name:
    """Name a branch."""
    where, name = _split(text)
    if not name:
        raise Usage(f'invalid format "{text}": a branch is needed', hint=f"write {text.rstrip('@')}@master")
    if is_commit_id(name) or _ANCESTRY.search(name) or "=" in name or ":" in name:
        raise Usage(f'invalid branch "{text}": cannot specify a commit, ancestry or a path')
    return {"repo": repo(default_project, where), "name": name}


def commit(default_project: str, text: str) -> Name:
    """Name a commit by a branch, an id or both; ancestry goes along in the id, as servers expect."""
    where, rest = _split(text)
    named = repo(default_project, where)
    if ":" in rest:
        raise Usage(f'invalid format "{text}": cannot specify a file path')
    if not rest:
        raise Usage(f'invalid format "{text}": a branch or commit is needed', hint=f"write {where}@master")
    if "=" in rest:
        branch_name, _, identifier = rest.partition("=")
    elif is_commit_id(rest) or _ANCESTRY.search(rest):
        branch_name, identifier = "", rest
    else:
        branch_name, identifier = rest, ""
    name: Name = {"repo": named, "id": identifier}
    if branch_name:
        name["branch"] = {"repo": named, "name": branch_name}
    return name


def file(default_project: str, text: str) -> Name:
    """Name a file or a folder; without a path, the root of the commit."""
    where, rest = _split(text)
    at, _, path = rest.partition(":")
    if not at:
        repo_name, _, inside = where.partition(":")
        path = path or inside or "/path"
        hint = f"write {repo_name}@master:{path}"
        raise Usage(f'invalid format "{text}": a branch or commit is needed', hint=hint)
    return {"commit": commit(default_project, f"{where}@{at}"), "path": path}


def pipeline(default_project: str, text: str) -> Name:
    """Name a pipeline."""
    before, slash, name = text.rpartition("/")
    if not name or (slash and not before):
        raise Usage(f'invalid format "{text}": pipeline must be specified')
    return {"name": name, "project": project(before or default_project)}


def job(default_project: str, text: str) -> Name:
    """Name a job."""
    where, at, identifier = text.partition("@")
    if not at or not identifier:
        raise Usage(f'invalid format "{text}": expected pipeline@job-id', hint=_newest(where))
    return {"pipeline": pipeline(default_project, where), "id": identifier}


def _newest(pipeline: str) -> str:
    return f"{pipeline}@master is that of its newest output" if pipeline else ""


def show_repo(message: Any) -> str:
    """Print a repo the way Pachyderm does: `project/name`, with the type if it is a system repo."""
    shown = f"{message.project.name}/{message.name}" if message.project.name else message.name
    return shown if message.type in (USER, "") else f"{shown}.{message.type}"


def show_commit(message: Any) -> str:
    """Print `project/repo@id`."""
    named = message.repo if message.HasField("repo") else message.branch.repo
    return f"{show_repo(named)}@{message.id or message.branch.name}"


def show_file(message: Any) -> str:
    """Print `project/repo@id:/path`."""
    return f"{show_commit(message.commit)}:{message.path}"


def show_pipeline(message: Any) -> str:
    """Print `project/pipeline`."""
    return f"{message.project.name}/{message.name}" if message.project.name else str(message.name)


def show_job(message: Any) -> str:
    """Print `project/pipeline@id`."""
    return f"{show_pipeline(message.pipeline)}@{message.id}"


def _split(text: str) -> tuple[str, str]:
    where, _, rest = text.partition("@")
    if not where:
        raise Usage(f'invalid format "{text}": repo cannot be empty')
    return where, rest
