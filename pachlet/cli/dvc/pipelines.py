"""Write for each stage of a DVC project a spec and an image; the stage's command stays as it is.

The step makes a folder that looks like the project's to the stage: its code, its parameters and, by links, its data,
runs the command there, and takes the outputs out. Everything keeps the path that it has in the project, in every repo.

Read next: project.py.
"""

from __future__ import annotations

import graphlib
import json
import posixpath
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pachlet.cli.dvc.project import Project, Stage
from pachlet.errors import InvalidArgument, NotFound

REQUIREMENTS = "images/dvc/requirements.txt"
"""The pins of what the stages' code needs, beside the images."""


@dataclass
class Imported:
    """What is to be written, and what is to be put."""

    files: dict[str, str] = field(default_factory=dict)
    """Texts, by path in the project."""
    repos: dict[str, str] = field(default_factory=dict)
    """The path of what DVC tracks, by the repo that it goes to."""


@dataclass(frozen=True)
class Asked:
    """What is said about a project when it is imported."""

    project: str = ""
    """Pachyderm's project that the pipelines are of."""
    each: Sequence[str] = ()
    """Folders whose files are treated each by itself."""
    code: Sequence[str] = ()
    """Paths that every stage's code needs beside what its deps name."""
    is_pinned: bool = False
    """Whether there is a file of pinned requirements."""


def import_project(project: Project, asked: Asked) -> Imported:
    """Return the specs and images of a project's stages.

    Raises:
        InvalidArgument: a stage has no dependency that is data, stages read each other, or --each names what none
            reads.
        NotFound: a stage needs a path that is nowhere.
    """
    _check_order(project)
    made = Imported()
    read: set[str] = set()
    for stage in project.stages:
        code = [*asked.code, *stage.params]
        inputs: dict[str, str] = {}  # the glob of each repo
        for dep in stage.deps:
            found = _repos(project, stage, dep, made)
            if not found:
                code.append(_code(project, stage, dep))
            glob = f"/{dep}/*" if dep in asked.each else "/"
            read |= {dep} & set(asked.each)
            for repo in found:
                inputs[repo] = glob if inputs.get(repo, "/") == "/" else inputs[repo]
        if not inputs:
            raise InvalidArgument(
                f"stage {stage.name} reads no data, neither what DVC tracks nor what a stage writes",
                hint="a pipeline runs when its input changes: track a file with `dvc add` and name it in deps",
            )
        name = _name(stage.name)
        made.files[f"images/dvc-{name.lower()}/Dockerfile"] = _dockerfile(sorted({*code}), asked.is_pinned)
        made.files[f"pipelines/{name}.json"] = json.dumps(_spec(stage, inputs, asked), indent=2) + "\n"
    if unread := sorted({*asked.each} - read):
        raise InvalidArgument(f"--each {unread[0]}: no stage has it among its deps", hint="see dvc.yaml")
    return made


def _check_order(project: Project) -> None:
    """Raise InvalidArgument if stages read each other; one that reads what it wrote itself is left alone."""
    before = {
        each.name: {maker for dep in each.deps for maker in project.makers(dep)} - {each.name}
        for each in project.stages
    }
    try:
        graphlib.TopologicalSorter(before).prepare()
    except graphlib.CycleError as error:
        raise InvalidArgument(
            f"dvc.yaml: stages read each other: {' → '.join(error.args[1])}",
            hint="what a stage reads has to be there before it: take one of these out of deps",
        ) from None


def _repos(project: Project, stage: Stage, dep: str, made: Imported) -> list[str]:
    """Return the repos that hold a dependency; none if it is code."""
    for source in project.sources(dep):
        made.repos[_name(source)] = source
    makers = [each for each in project.makers(dep) if each != stage.name]
    return [*map(_name, makers), *map(_name, project.sources(dep))]


def _code(project: Project, stage: Stage, dep: str) -> str:
    if not (project.folder / dep).exists():
        raise NotFound(
            f"stage {stage.name} needs {dep}: no stage writes it, DVC does not track it, and it is not there",
            hint="check the path in dvc.yaml",
        )
    return dep


def _name(text: str) -> str:
    """Return the name of a pipeline or repo for a stage or path."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-_")


def _dockerfile(code: Sequence[str], is_pinned: bool) -> str:
    lines = [f"FROM python:{sys.version_info.major}.{sys.version_info.minor}-slim"]
    if is_pinned:
        lines += [
            f"COPY {REQUIREMENTS} /opt/dvc/requirements.txt",
            "RUN pip install --no-cache-dir --require-hashes -r /opt/dvc/requirements.txt",
        ]
    lines += [f"COPY {path} /app/{path}" for path in code]
    return "\n".join([*lines, "WORKDIR /app", "ENV PFS_ROOT=/pfs", ""])


def _spec(stage: Stage, inputs: dict[str, str], asked: Asked) -> dict[str, Any]:
    parts = [{"pfs": {"repo": repo, "glob": glob}} for repo, glob in inputs.items()]
    named = {"project": {"name": asked.project}} if asked.project else {}
    name = _name(stage.name)
    return {
        "pipeline": {**named, "name": name},
        "description": f"Stage {stage.name} of dvc.yaml.",
        "input": parts[0] if len(parts) == 1 else {"cross": parts},
        "transform": {
            "image": f"pachlet/dvc-{name.lower()}",
            "cmd": ["sh", "-e"],
            "stdin": _script(stage, list(inputs), any(glob != "/" for glob in inputs.values())),
        },
    }


def _script(stage: Stage, repos: Sequence[str], is_by_item: bool) -> list[str]:
    pfs = '"${PFS_ROOT:-/pfs}"'
    lines = ["work=$(mktemp -d)", """trap 'rm -rf "$work"' EXIT""", 'cp -r ./. "$work"', 'cd "$work"']
    lines += [f"cp -rs {pfs}/{repo}/. ." for repo in repos]
    folders = sorted({posixpath.dirname(out) for out in stage.outs} - {""})
    lines += [f"mkdir -p {shlex.join(folders)}"] if folders else []
    lines += [f"cd {shlex.quote(stage.folder)}"] if stage.folder else []
    lines += [*stage.commands, 'cd "$work"']
    for out in stage.outs:
        there, path = posixpath.dirname(out), shlex.quote(out)
        if is_by_item:  # a file may give nothing
            lines.append(f"[ -e {path} ] || exit 0")
        lines += [f"mkdir -p {pfs}/out/{shlex.quote(there)}"] if there else []
        lines.append(f"cp -r {path} {pfs}/out/{shlex.quote(there)}")
    return lines
