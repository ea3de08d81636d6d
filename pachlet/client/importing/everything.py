"""Decide what to copy from a Pachyderm, make its projects, copy its repos, write its specs.

Read next: history.py, specs.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pachlet.client import names
from pachlet.client.connection import Connection, Message
from pachlet.client.importing.history import Advance, Copied, copy_repo
from pachlet.client.importing.marks import deployment_of
from pachlet.client.importing.specs import current_pipelines, output_repos, write_specs
from pachlet.client.projects import create_project, list_project
from pachlet.errors import AlreadyExists, Corrupt, FailedPrecondition, NotFound, PachletError, Refused
from pachlet.paths import USER

_OF_ONE_REPO = (AlreadyExists, Corrupt, FailedPrecondition, NotFound)
"""What is wrong with one repo, such as a file that was purged, and does not keep the others from being copied."""


@dataclass
class Imported:
    """What came of an import."""

    repos: list[Copied] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    """The repos that pipelines make."""
    specs: list[Path] = field(default_factory=list)
    failed: dict[str, PachletError] = field(default_factory=dict)
    """The repos that could not be copied whole, each with the reason."""


def import_from(
    source: Connection,
    target: Connection,
    *,
    project: str = "",
    wanted: Sequence[str] = (),
    specs: Path,
    advance: Advance,
    tell: Callable[[Copied], None],
) -> Imported:
    """Copy everything, or the repos that are named, or one project; what is there already stays.

    `tell` hears of each repo when it is copied; one that can't be stands in the way of no other. Specs are written
    below `specs`, unless repos are named.
    """
    deployment = deployment_of(source)
    if deployment == deployment_of(target):
        raise Refused(
            f"{source.address} is the very server that would be imported into",
            hint="choose the target with `pachctl connect` or PACHD_ADDRESS",
        )
    projects = [info for info in list_project(source) if not project or info.project.name == project]
    if not projects:
        raise NotFound(f'project "{project}" not found at {source.address}')
    inside = [info.project.name for info in projects]
    infos = list(source.call("pfs_v2.API", "ListRepo", {"type": USER, "projects": _named(inside)}))
    made = output_repos(current_pipelines(source, inside))
    done = Imported()
    if wanted:
        infos = _choose(source, infos, wanted, project)
    else:
        done.left_out = [names.show_repo(info.repo) for info in infos if _key(info) in made]
        infos = [info for info in infos if _key(info) not in made]
    _make_projects(target, projects, {info.repo.project.name for info in infos} if wanted else set(inside))
    for info in infos:
        try:
            copied = copy_repo(source, target, info, deployment, advance)
        except _OF_ONE_REPO as error:
            done.failed[names.show_repo(info.repo)] = error
            continue
        done.repos.append(copied)
        tell(copied)
    if not wanted:
        done.specs = write_specs(source, inside, specs)
    return done


def _choose(
    source: Connection, infos: Sequence[Message], wanted: Sequence[str], project: str
) -> list[Message]:
    """Return the repos that were named, in the order of the source; each must be there."""
    chosen = set()
    there = {_key(info) for info in infos}
    for text in wanted:
        named = names.repo(project or source.project, text)
        key = (named["project"]["name"], named["name"])
        if key not in there:
            raise NotFound(f"repo {'/'.join(key)} not found at {source.address}")
        chosen.add(key)
    return [info for info in infos if _key(info) in chosen]


def _make_projects(target: Connection, projects: Sequence[Message], needed: set[str]) -> None:
    there = {info.project.name: info for info in list_project(target)}
    for info in projects:
        name = info.project.name
        if name not in needed:
            continue
        if name not in there:
            create_project(target, name, description=info.description)
        elif info.description and not there[name].description:
            create_project(target, name, description=info.description, update=True)


def _named(projects: Sequence[str]) -> list[names.Name]:
    return [names.project(name) for name in projects]


def _key(info: Message) -> tuple[str, str]:
    return info.repo.project.name, info.repo.name
