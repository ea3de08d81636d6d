"""Names and paths: what a repo, branch, project, pipeline or file may be called, and how it prints.

Clients match on the texts raised here and parse the printed forms, so both mirror Pachyderm's own to the
letter. The value types are frozen and ordered: they serve as dictionary keys and sort by project, then name.

Read next: globs/glob.py (patterns over paths), ids.py (what a commit's id looks like).
"""

from __future__ import annotations

import posixpath
import re
from typing import Literal, NamedTuple

from pachlet.errors import Refused
from pachlet.ids import is_commit_id

DEFAULT_PROJECT = "default"
FILESETS_REPO = "__filesets__"  # the repo name under which a fileset is read as a commit
USER, SPEC, META = "user", "spec", "meta"  # the types of repo

# A Kubernetes label holds 63 characters, some of them upstream's own affixes. What passes here passes there.
PROJECT_NAME_MAX = 51
PIPELINE_NAME_MAX = 51
KUBERNETES_NAME_MAX = 63
# Upstream sets no limits to these. No step could see what is longer, because no file system holds it, and an index of
# upstream's database takes no longer name of a repo or branch than ten times this.
NAME_MAX = 255
FILE_PATH_MAX = 4096

NameKind = Literal["repo", "branch", "project", "pipeline"]

_NAME = re.compile(r"[a-zA-Z0-9_-]+")
_PRINTABLE = re.compile(r"[ -~]+")
_GLOBBING = re.compile(r"[*?\[\]{}!()@+^]")


class Repo(NamedTuple):
    """A repo: of the user, or one of the two system repos of a pipeline (type "spec" or "meta")."""

    project: str
    name: str
    type: str = USER

    def __str__(self) -> str:
        shown = f"{self.project}/{self.name}" if self.project else self.name
        return shown if self.type == USER else f"{shown}.{self.type}"

    @property
    def spec(self) -> Repo:
        """The system repo whose commits mark the versions of the pipeline of this name."""
        return Repo(self.project, self.name, SPEC)

    @property
    def meta(self) -> Repo:
        """The system repo that holds the datums of the pipeline of this name."""
        return Repo(self.project, self.name, META)


class Branch(NamedTuple):
    """A named pointer to a commit of `repo`."""

    repo: Repo
    name: str

    def __str__(self) -> str:
        return f"{self.repo}@{self.name}"


class Commit(NamedTuple):
    """A commit: since 2.6 a repo and an id name it, the branch is only a hint of the client."""

    repo: Repo
    id: str

    def __str__(self) -> str:
        return f"{self.repo}@{self.id}"


def check_name(kind: NameKind, name: str, *, project: str = DEFAULT_PROJECT) -> None:
    """Refuse a name that Pachyderm would refuse; `project` counts towards the length of a pipeline's name."""
    if kind == "project":
        _check_project_name(name)
    elif kind == "pipeline":
        check_pipeline_name(name, project)
        check_pipeline_start(name)
    else:
        _check_characters(name)
        _check_length(f'{kind} name "{name}"', name, NAME_MAX)
        # A branch that looks like a commit id would make `repo@x` mean two things.
        if kind == "branch" and is_commit_id(name):
            raise Refused("branch name cannot be a UUID V4", hint="give the branch a word for a name")


def check_pipeline_name(name: str, project: str) -> None:
    """Refuse a pipeline name by its characters and length, which upstream checks first of the whole spec."""
    try:
        _check_characters(name)
    except Refused as error:
        raise Refused(f"invalid pipeline name: {error}", hint=error.hint) from None
    _check_length(f'pipeline name "{name}"', name, PIPELINE_NAME_MAX)
    label = f"{project or 'pipeline'}-{name}".replace("_", "-").lower() + "-v99"
    _check_length(f'Kubernetes name "{label}"', label, KUBERNETES_NAME_MAX)


def check_pipeline_start(name: str) -> None:
    """Refuse a pipeline name by its first character, which upstream checks after the defaults are set."""
    if not name[:1].isalnum():
        better = name.lstrip("_-")
        raise Refused(
            "pipeline names must start with an alphanumeric character",
            hint=f"such as {better}" if better else "",
        )


def clean_path(path: str) -> str:
    """Return the normal form of a path: "/" for the root, otherwise a leading slash and no trailing one."""
    cleaned = posixpath.normpath(path)
    return "/" if cleaned == "." else "/" + cleaned.strip("/")


def check_file_path(path: str) -> None:
    """Refuse a path under which no file may be stored."""
    if not _PRINTABLE.fullmatch(path):
        raise Refused(f"path ({path}) invalid: only printable ASCII characters allowed")
    if found := _GLOBBING.search(path):
        raise Refused(f"path ({path}) invalid: globbing character ({found[0]}) not allowed in path")
    if "." in path and any(element in (".", "..") for element in path.split("/")):
        raise Refused(f"path ({path}) invalid: relative file paths are not allowed")
    if len(path) > FILE_PATH_MAX:
        raise Refused(f"path ({path}) invalid: it is longer than {FILE_PATH_MAX} characters")


def _check_project_name(name: str) -> None:
    if name == DEFAULT_PROJECT:
        return
    _check_length(f'project name "{name}"', name, PROJECT_NAME_MAX)
    _check_characters(name)
    if not name[0].isalnum():
        raise Refused("project names must start with an alphanumeric character")


def _check_characters(name: str) -> None:
    if not _NAME.fullmatch(name):
        message = f"name ({name}) invalid: only alphanumeric characters, underscores, and dashes are allowed"
        better = re.sub(r"[^a-zA-Z0-9_-]+", "-", name).strip("-")
        raise Refused(message, hint=f"such as {better}" if better else "")


def _check_length(shown: str, name: str, most: int) -> None:
    if len(name) > most:
        raise Refused(f"{shown} is {len(name) - most} characters longer than the {most} max")
