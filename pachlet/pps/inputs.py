"""The input of a pipeline as a tree: which files of which branches make datums, and how they combine.

The leaves are pfs and cron inputs; cross, union, join and group hold other inputs. Their order counts, as it
is part of every datum's id: `spec/defaults.py` has sorted them by name, as upstream does, before it filled in
what the user left out, and nothing here changes it again.

Read next: datums.py (how the tree is walked), spec/defaults.py (what a leaf gets when nothing is said).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pachlet.errors import Refused, Unimplemented
from pachlet.paths import Branch, Repo

NO_GATEWAY = "waits for the S3 gateway: pachlet does not have it yet"


@dataclass(frozen=True)
class Input:
    """One node of the tree."""

    def visit(self) -> Iterator[PfsInput | CronInput]:
        """Yield the leaves from left to right."""
        for part in self.parts():
            yield from part.visit()

    def parts(self) -> Sequence[Input]:
        """Return the inputs right below this one."""
        return ()

    def branches(self) -> list[Branch]:
        """Return the branches that the leaves read, each once, from left to right."""
        return list(dict.fromkeys(leaf.source for leaf in self.visit()))


@dataclass(frozen=True)
class PfsInput(Input):
    """Files of a branch; each match of the glob is a datum of its own, or the part of one."""

    name: str  # the folder below /pfs under which a step sees the files
    repo: Repo
    branch: str
    glob: str
    join_on: str = ""
    outer_join: bool = False
    group_by: str = ""
    lazy: bool = False
    empty_files: bool = False
    is_cron: bool = False  # its files are ticks
    reference: bool = False  # a change of these files alone makes no datum run again
    propagates: bool = True  # a new commit on the branch makes a job
    trigger: Mapping[str, Any] | None = field(default=None, hash=False)
    commit: str = ""

    @property
    def source(self) -> Branch:
        return Branch(self.repo, self.branch)

    def visit(self) -> Iterator[PfsInput | CronInput]:
        yield self


@dataclass(frozen=True)
class CronInput(Input):
    """The ticks of a clock, kept as files named by their time in a repo of the pipeline."""

    name: str
    repo: Repo
    spec: str
    start: str = ""
    overwrite: bool = False
    commit: str = ""

    @property
    def source(self) -> Branch:
        return Branch(self.repo, "master")

    @property
    def propagates(self) -> bool:
        return True

    def visit(self) -> Iterator[PfsInput | CronInput]:
        yield self

    def as_pfs(self) -> PfsInput:
        """Return the pfs input that gives the same datums: one for each tick."""
        return PfsInput(self.name, self.repo, "master", "/*", commit=self.commit, is_cron=True)


@dataclass(frozen=True)
class _Combined(Input):
    inputs: tuple[Input, ...]

    def parts(self) -> Sequence[Input]:
        return self.inputs


class CrossInput(_Combined):
    """Every combination of one datum from each input."""


class UnionInput(_Combined):
    """The datums of all inputs, side by side."""


class JoinInput(_Combined):
    """Combinations of one file from each input whose `join_on` is the same."""


class GroupInput(_Combined):
    """One datum for each value of `group_by`, with all files of all inputs that have it."""


_COMBINED = {"cross": CrossInput, "union": UnionInput, "join": JoinInput, "group": GroupInput}


def parse_input(spec: Mapping[str, Any], project: str) -> Input:
    """Read the `input` of an effective spec whose defaults are filled in; `project` is the pipeline's."""
    kinds = [kind for kind in ("pfs", "cron", *_COMBINED) if spec.get(kind) is not None]
    if not kinds:
        raise Refused("no input set", hint="an input is one of pfs, cross, union, join, group and cron")
    if len(kinds) > 1:
        raise Refused("multiple input types set", hint=f"one input has both {kinds[0]} and {kinds[1]}")
    kind = kinds[0]
    if kind == "pfs":
        return _parse_pfs(spec["pfs"], project)
    if kind == "cron":
        return _parse_cron(spec["cron"], project)
    return _COMBINED[kind](tuple(parse_input(part, project) for part in spec[kind]))


def _parse_pfs(spec: Mapping[str, Any], project: str) -> PfsInput:
    if spec.get("s3"):
        raise Unimplemented(
            f"input {spec['name']} sets s3 to true, which {NO_GATEWAY}",
            hint="leave out s3: the step then finds the files under /pfs",
        )
    return PfsInput(
        name=spec["name"],
        repo=Repo(spec.get("project") or project, spec["repo"], spec["repo_type"]),
        branch=spec["branch"],
        glob=spec["glob"],
        join_on=spec.get("join_on", ""),
        outer_join=spec.get("outer_join", False),
        group_by=spec.get("group_by", ""),
        lazy=spec.get("lazy", False),
        empty_files=spec.get("empty_files", False),
        reference=spec.get("reference", False),
        propagates=not (spec.get("propagation_spec") or {}).get("never", False),
        trigger=spec.get("trigger"),
        commit=spec.get("commit", ""),
    )


def _parse_cron(spec: Mapping[str, Any], project: str) -> CronInput:
    return CronInput(
        name=spec["name"],
        repo=Repo(spec.get("project") or project, spec["repo"]),
        spec=spec["spec"],
        start=spec.get("start", ""),
        overwrite=spec.get("overwrite", False),
        commit=spec.get("commit", ""),
    )
