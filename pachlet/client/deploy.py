"""Send a project to a server that is not ours: its repos, its data, its pipelines with images that can be pulled.

It is `apply` with what a server elsewhere lacks besides: repos that are read and nobody makes, local folders as data,
and images in a registry. Nothing is done twice: what is there already stays, and a second run says so. Only RPCs that
Pachyderm has are called.

Read next: apply.py (pipelines, and when they run again), mirroring.py (data), docs/deploy.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pachlet.client.apply import CodeOf, Yard, apply_specs
from pachlet.client.connection import Connection
from pachlet.client.mirroring import local_files, mirror
from pachlet.client.pipelines import Spec, as_message, input_repos, with_project
from pachlet.client.projects import create_project, list_project
from pachlet.client.repos import create_repo, inspect_repo
from pachlet.errors import AlreadyExists, InvalidArgument, NotFound, Usage

_ANNOTATION = re.compile(r"(?:[a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_MOST_ANNOTATED = 256 * 1024
"""Bytes of keys and values that Kubernetes lets an object have: Pachyderm annotates a pipeline's pods with them."""


@dataclass(frozen=True)
class Data:
    """A local folder whose files a folder of a repo is to hold, and no others."""

    repo: str
    at: str
    folder: Path

    @classmethod
    def parse(cls, text: str) -> Data:
        """Read `REPO[:/PATH]=FOLDER`.

        Raises:
            Usage: it is not written so.
            NotFound: there is no such folder.
        """
        place, equals, folder = text.partition("=")
        repo, colon, at = place.partition(":")
        if not equals or not repo or not folder or (colon and not at.startswith("/")) or "@" in repo:
            raise Usage(f"--data {text!r} is not understood", hint="write REPO=FOLDER or REPO:/PATH=FOLDER")
        if not Path(folder).is_dir():
            raise NotFound(f"{folder} is no folder", hint=f"it is to be the data of repo {repo}")
        return cls(repo, at.rstrip("/"), Path(folder))


@dataclass(frozen=True)
class Deployed:
    """What was done, or would be, to one thing."""

    what: str
    done: str
    is_change: bool

    def __str__(self) -> str:
        return f"{self.what}: {self.done}"


def deploy(
    connection: Connection,
    specs: Sequence[Spec],
    code_of: CodeOf,
    yard: Yard,
    data: Sequence[Data] = (),
    *,
    dry_run: bool = False,
    tell: Callable[[Deployed], None] = lambda done: None,
    sending: Callable[[str], None] | None = None,
) -> list[Deployed]:
    """Make a server have repos, data and pipelines; return what was done, `tell` hears of each as it is.

    Raises:
        InvalidArgument: a spec is one that Pachyderm or Kubernetes would refuse; nothing was sent.
        Usage: there is no registry for an image of ours, or none can be called so; nothing was sent either.
        PachletError: an image can't be built or pushed; nothing was sent either.
    """
    whole = [with_project(spec, connection.project) for spec in specs]
    check_specs(whole)
    for spec in whole:  # before anything is sent
        image = str((spec.get("transform") or {}).get("image") or "")
        if code_of(image) is not None:
            yard.repository(image)
    found: list[Deployed] = []

    def note(what: str, done: str, is_change: bool) -> None:
        found.append(Deployed(what, done, is_change))
        tell(found[-1])

    def send_data() -> None:
        missing = list(_missing_repos(connection, whole, data))
        for project, repo in missing:
            if not dry_run:
                _make(connection, project, repo)
            note(f"repo {project}/{repo}", "created", True)
        for each in data:
            files = local_files(each.folder, each.at)
            changed = mirror(connection, each.repo, files, each.at, dry_run=dry_run)
            note(f"data {each.repo}:{each.at or '/'}", str(changed), bool(changed.put or changed.deleted))

    # An image that can't be built or pushed is told before the server has got anything.
    for done in apply_specs(
        connection, whole, code_of, yard=yard, prepare=send_data, dry_run=dry_run, sending=sending
    ):
        note(f"pipeline {done.project}/{done.pipeline}", done.reason, done.action != "unchanged")
    return found


def check_specs(specs: Sequence[Spec]) -> None:
    """Refuse what a cluster would: fields that no spec has, and annotations that no pod may have.

    Raises:
        InvalidArgument: with the pipeline's name.
    """
    for spec in specs:
        name = spec["pipeline"]["name"]
        try:
            as_message(spec)
        except InvalidArgument as error:
            raise InvalidArgument(f"pipeline {name}: {error.message}") from None
        metadata = spec.get("metadata") or {}
        for kind in ("annotations", "labels"):
            for problem in _of_pods(metadata.get(kind) or {}):
                raise InvalidArgument(
                    f"pipeline {name}: metadata.{kind}: {problem}", hint="Kubernetes would refuse its pods"
                )


def _of_pods(pairs: Mapping[str, str]) -> Iterator[str]:
    for key in pairs:
        if _ANNOTATION.fullmatch(key) is None:
            yield f"{key!r} is no key of Kubernetes"
    if sum(len(key.encode()) + len(value.encode()) for key, value in pairs.items()) > _MOST_ANNOTATED:
        yield "more than 256 KiB"


def _missing_repos(
    connection: Connection, specs: Sequence[Spec], data: Sequence[Data]
) -> Iterator[tuple[str, str]]:
    """Yield (project, repo) of what is read or given data, and neither there nor made by one of the specs."""
    made = {(spec["pipeline"]["project"]["name"], spec["pipeline"]["name"]) for spec in specs}
    wanted = dict.fromkeys(repo for spec in specs for repo in input_repos(spec))
    wanted |= dict.fromkeys((connection.project, each.repo) for each in data)
    projects = {each.project.name for each in list_project(connection)}
    for project, repo in wanted:
        if (project, repo) in made:
            continue
        try:
            if project in projects:
                inspect_repo(connection, f"{project}/{repo}")
                continue
        except NotFound:
            pass
        yield project, repo


def _make(connection: Connection, project: str, repo: str) -> None:
    with suppress(AlreadyExists):
        create_project(connection, project)
    with suppress(AlreadyExists):
        create_repo(connection, f"{project}/{repo}")
