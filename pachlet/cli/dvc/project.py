"""Read a DVC project: its stages, and for each path that they name who makes it.

A dependency is what another stage writes, data that DVC tracks (a .dvc file says so), or else code, which is in git.

Read next: pipelines.py (what becomes of them).
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pachlet.cli.dvc.shapes import list_of, load, mapping_of
from pachlet.cli.dvc.templates import filled_in, stages_of
from pachlet.errors import InvalidArgument, NotFound

_PARAMS = "params.yaml"


@dataclass(frozen=True)
class Stage:
    """A stage; every path is from the project's folder on."""

    name: str
    commands: tuple[str, ...]
    folder: str
    """Where the commands run, '' in the project's folder itself."""
    deps: tuple[str, ...]
    params: tuple[str, ...]
    """The files that its parameters are in."""
    outs: tuple[str, ...]


@dataclass(frozen=True)
class Project:
    """What dvc.yaml and the .dvc files of a folder say."""

    folder: Path
    stages: tuple[Stage, ...]
    tracked: tuple[str, ...]
    """The files and folders that DVC keeps, which nobody makes."""

    def makers(self, dep: str) -> list[str]:
        """Return the stages that write a path, something in it, or the folder that it is in."""
        return [each.name for each in self.stages if any(_meet(out, dep) for out in each.outs)]

    def sources(self, dep: str) -> list[str]:
        """Return the tracked paths that are a path, in it, or the folder that it is in."""
        return [each for each in self.tracked if _meet(each, dep)]


def read_project(folder: Path) -> Project:
    """Read the project in a folder.

    Raises:
        NotFound: there is no dvc.yaml.
        InvalidArgument: it makes no sense, with the stage and what is wrong.
    """
    if not (folder / "dvc.yaml").is_file():
        raise NotFound(f"there is no {folder / 'dvc.yaml'}", hint="name the folder of a DVC project")
    body = load(folder / "dvc.yaml")
    known = _known(folder, list_of(body.get("vars"), "dvc.yaml: vars"))
    entries = mapping_of(body.get("stages"), "dvc.yaml: stages")
    stages: list[Stage] = []
    frozen: list[str] = []
    for name, entry in entries.items():
        if not isinstance(entry, Mapping):
            raise InvalidArgument(f"dvc.yaml: stage {name} is no mapping")
        for full, stage in stages_of(str(name), entry, known):
            made = _stage(full, stage)
            frozen += made.outs if stage.get("frozen") else ()
            stages += [] if stage.get("frozen") else [made]
    if not stages:
        raise InvalidArgument(f"{folder / 'dvc.yaml'} has no stage", hint="there is nothing to run")
    return Project(folder, tuple(stages), tuple(sorted({*_tracked(folder), *frozen})))


def _known(folder: Path, given: list[Any]) -> dict[str, Any]:
    """Return what `${...}` may stand for: params.yaml, and what `vars` adds."""
    known: dict[str, Any] = load(folder / _PARAMS) if (folder / _PARAMS).is_file() else {}
    for each in given:
        known |= each if isinstance(each, Mapping) else load(folder / str(each).partition(":")[0])
    return {**known, **filled_in(known, known)}


def _stage(name: str, body: Mapping[str, Any]) -> Stage:
    commands = body.get("cmd") or []
    wdir = str(body.get("wdir") or "")

    def paths(key: str) -> Iterator[str]:
        for each in list_of(body.get(key), f"dvc.yaml: stage {name}: {key}"):
            for path in each if isinstance(each, Mapping) else [each]:
                yield _inside(name, wdir, str(path))

    params = {
        _inside(name, wdir, str(file))
        for each in list_of(body.get("params"), f"dvc.yaml: stage {name}: params")
        for file in (each if isinstance(each, Mapping) else [_PARAMS])
    }
    return Stage(
        name,
        tuple(map(str, commands if isinstance(commands, list) else [commands])),
        _inside(name, wdir, ".") if wdir else "",
        tuple(paths("deps")),
        tuple(sorted(params)),
        tuple(path for key in ("outs", "metrics", "plots") for path in paths(key)),
    )


def _inside(stage: str, wdir: str, path: str) -> str:
    """Return a path of a stage from the project's folder on."""
    found = posixpath.normpath(posixpath.join(wdir, path))
    if "://" in path or "\0" in path or found.startswith(("/", "..")):
        raise InvalidArgument(
            f"dvc.yaml: stage {stage} names {path}, which is outside of the project",
            hint="put it into a repo, and name it by a path in the project",
        )
    return "" if found == "." else found


def _tracked(folder: Path) -> Iterator[str]:
    for file in sorted(folder.rglob("*.dvc")):
        if not file.is_file() or ".dvc" in file.relative_to(folder).parts[:-1]:
            continue
        body = load(file)
        base = posixpath.join(file.parent.relative_to(folder).as_posix(), str(body.get("wdir") or ""))
        for out in list_of(body.get("outs"), f"{file}: outs"):
            if path := mapping_of(out, f"{file}: outs").get("path"):
                yield posixpath.normpath(posixpath.join(base, str(path)))


def _meet(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")
