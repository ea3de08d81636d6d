"""A graph of files and of the runs that made or read them.

Read next: asking.py (where it comes from), text.py (how it is drawn).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from pachlet.client import ran


@dataclass
class File:
    """A file, or a folder (its path ends with a slash), of one commit."""

    project: str
    repo: str
    """With `.spec` or `.meta`, if it is one of these."""
    commit: str
    path: str
    size_bytes: int = 0
    hash: str = ""
    runs: list[int] = field(default_factory=list)
    """Places in the graph's list: of what made it, or, in a graph that goes down, of what read it."""
    not_shown: int = 0
    """Further runs that were not followed, or further files of `holds`."""
    has_more: bool = False
    """Whether there may be more runs that were not even counted."""
    holds: list[str] = field(default_factory=list)
    """The files of a folder that no datum made."""
    is_gone: bool = False
    put_in: str = ""
    """Of what no datum made: the commit that last changed it, maybe long before `commit`; empty where not known."""
    held_since: list[str] = field(default_factory=list)
    """The same of each of `holds`; a folder has none itself."""
    purged: str = ""
    """What was purged of it, when, by whom and why."""

    def __str__(self) -> str:
        return f"{self.project}/{self.repo}@{self.commit}:{self.path}"


@dataclass
class Run:
    """One run of a pipeline's code on one datum."""

    project: str
    pipeline: str
    job: str
    datum: str
    version: int = 0
    """0 where it is not known."""
    spec_commit: str = ""
    image: str = ""
    digest: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Of the image, what is installed in it, the machine: docs/provenance.md has the keys."""
    cmd: Sequence[str] = ()
    state: str = ""
    started: str = ""
    """When it began: the datum, or where no record says that its job; empty where neither is known."""
    finished: str = ""
    seconds: float = 0.0
    files: list[int] = field(default_factory=list)
    """Places in the graph's list: of what it read, or, in a graph that goes down, of what it wrote."""
    not_shown: int = 0

    @property
    def code(self) -> str:
        """Return the image and its digest, and the git commit that its files came from."""
        parts = [f"{self.image}@{self.digest}" if self.digest else self.image or "image not recorded"]
        if self.facts.get("os"):
            parts.append("the machine's own programs")
        if code := self.facts.get("code_digest"):  # of an image that was built from it
            parts.append(f"code {code}")
        if commit := ran.git(self.facts, short=True):
            parts.append(f"git {commit}")
        return ", ".join(parts)

    def read_record(self, record: Mapping[str, Any]) -> None:
        """Take over what a pachlet server recorded of it."""
        image = record["image"]
        if "started" in record:  # not so in records of earlier versions
            self.started, self.finished = record["started"], record["finished"]
        self.version, self.spec_commit = record["version"], record["spec_commit"]
        self.image, self.digest = image["reference"], image["digest"]
        self.facts, self.cmd, self.state = (
            image.get("provenance") or {},
            record.get("cmd", ()),
            record["state"],
        )
        stats = record.get("stats", {})
        self.seconds = sum(stats.get(f"{each}_seconds", 0) for each in ("download", "process", "upload"))


@dataclass(frozen=True)
class Commit:
    """When a commit was made, and what it says of who made it and why."""

    started: str = ""
    finished: str = ""
    message: str = ""
    by_user: bool = True
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def author(self) -> str:
        return self.metadata.get("author", "")


@dataclass
class Graph:
    """What was found; the first file is the one that was asked for."""

    is_down: bool
    files: list[File] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    commits: dict[str, Commit] = field(default_factory=dict)
    """By `project/repo@id`."""
    is_cut: bool = False

    @property
    def root(self) -> File:
        return self.files[0]

    def runs_of(self, file: File) -> list[Run]:
        """Return the runs at a file, as far as they were followed."""
        return [self.runs[place] for place in file.runs]

    def files_of(self, run: Run) -> list[File]:
        """Return the files at a run."""
        return [self.files[place] for place in run.files]

    def commit_of(self, file: File) -> Commit:
        """Return what is known of a file's commit."""
        return self.commits.get(f"{file.project}/{file.repo}@{file.commit}", Commit())

    def put_in(self, file: File, held: int | None = None) -> Commit:
        """Return what is known of the commit that put a file, or the file at a place in its `holds`.

        Of a folder that is nothing if several commits put what it holds.
        """
        since = dict(enumerate(file.held_since))
        id = file.put_in if held is None else since.get(held, "")
        if held is None and file.holds and not file.not_shown and len({*file.held_since}) == 1:
            id = file.held_since[0]
        return self.commits.get(f"{file.project}/{file.repo}@{id}", Commit())

    def job_of(self, run: Run) -> Commit:
        """Return what is known of the output commit of a run's job."""
        return self.commits.get(f"{run.project}/{run.pipeline}@{run.job}", Commit())

    def set_off_by(self, run: Run) -> list[tuple[str, Commit]]:
        """Return the commits of users that set off a run's job, each with its name."""
        trigger = self.job_of(run).metadata.get("trigger", "")
        wanted = [f"{branch.partition('@')[0]}@{run.job}" for branch in trigger.split(", ")]
        return [(name, self.commits[name]) for name in wanted if name in self.commits]

    def as_data(self) -> dict[str, Any]:
        """Return all of it, ready to be JSON."""
        at, of = ("read_by", "wrote") if self.is_down else ("made_by", "read")
        return {
            "direction": "down" if self.is_down else "up",
            "files": [_renamed(asdict(each), "runs", at) for each in self.files],
            "runs": [_renamed(asdict(each), "files", of) for each in self.runs],
            "commits": {name: asdict(each) for name, each in self.commits.items()},
            "is_cut": self.is_cut,
        }


def _renamed(data: dict[str, Any], old: str, new: str) -> dict[str, Any]:
    return {new if key == old else key: value for key, value in data.items()}
