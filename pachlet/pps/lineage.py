"""Follow files through the datums that made them or read them, from the database and the trees alone.

    up      file -> the datums whose tags its entries carry -> their records -> the files that they read -> ...
    down    file -> the jobs that read its commit -> their datums that read the path -> what they wrote -> ...

A datum that a job kept is found by the job, and its record is that of the job that ran it. What a run wrote is mirrored
in its meta commit. Each file and each run is in the graph once, however many ways lead to it. Behind a folder only so
many datums are followed: a report may gather hundreds of thousands.

Read next: recording.py (what is in a record), ../api/lineage_service.py.
"""

from __future__ import annotations

import itertools
import json
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pachlet.errors import NotFound, PachletError, Refused
from pachlet.metadb.connect import Row
from pachlet.metadb.connect import Transaction as Statements
from pachlet.metadb.stored_json import read_json
from pachlet.paths import USER, Commit, Repo
from pachlet.pfs import commits
from pachlet.pfs.files import Files
from pachlet.pfs.last_changes import last_changes
from pachlet.pfs.records import CommitRecord
from pachlet.pps.jobs import JobRecord, find_job
from pachlet.pps.planning import output_prefix
from pachlet.storage.entries import keys_below, keys_of
from pachlet.storage.fileset import FileSet

MOST_NODES = 20_000
"""So large a graph is cut: no message could hold it, and nobody reads it."""
_LOOKED_AT = 100_000
"""So many files of a folder are looked at for the datums that made them."""
_DATUM = re.compile(r"[0-9a-f]{64}")


@dataclass
class FileNode:
    """A file, or a folder (its path ends with a slash), of one commit; `runs` are places in the graph's list.

    Of a file that no run made, `put_in` is the id of the commit that last changed it; of `holds`, `held_since` are.
    """

    commit: Commit
    path: str
    size: int = 0
    hash: bytes = b""
    runs: list[int] = field(default_factory=list)
    not_shown: int = 0
    has_more: bool = False
    holds: list[str] = field(default_factory=list)
    is_gone: bool = False
    put_in: str = ""
    held_since: list[str] = field(default_factory=list)
    purged: str = ""
    """What became of its bytes, or of those of a file below it, if they were purged."""


@dataclass
class RunNode:
    """A run of a pipeline on a datum; `files` are places in the graph's list."""

    repo: Repo
    job: str
    datum: str
    record: str = ""
    started: int | None = None
    """When its job began to run, where that is known; the record of the datum says it more exactly."""
    finished: int | None = None
    files: list[int] = field(default_factory=list)
    not_shown: int = 0


@dataclass
class Graph:
    """What was found: the first file is where it began."""

    files: list[FileNode] = field(default_factory=list)
    runs: list[RunNode] = field(default_factory=list)
    is_cut: bool = False
    put_in: dict[int, CommitRecord] = field(default_factory=dict)
    """The commits in which users put files, by key."""

    @property
    def is_full(self) -> bool:
        return len(self.files) + len(self.runs) >= MOST_NODES


class Lineage:
    """One walk, in one direction, within one read of the database."""

    def __init__(self, db: Statements, files: Files, limit: int) -> None:
        """Follow at most `limit` datums at a place (0: all of them)."""
        self._db = db
        self._files = files
        self._limit = limit
        self._graph = Graph()
        self._places: dict[tuple[Commit, str], int] = {}
        self._run_places: dict[tuple[Repo, str, str], int] = {}
        self._jobs_ran: dict[tuple[Repo, str], tuple[int | None, int | None]] = {}
        self._waiting: deque[tuple[int, CommitRecord]] = deque()
        self._opened: dict[int, FileSet] = {}
        self._commits: dict[Commit, CommitRecord | None] = {}

    def trace(self, record: CommitRecord, path: str, *, down: bool) -> Graph:
        """Return the graph of a file or folder of a commit.

        Raises:
            NotFound: there is no such file.
            Refused: the commit is forgotten, or open on something that is not finished.
        """
        if self._open(record).info(path) is None and path.strip("/"):
            raise NotFound(f"file {path} not found in repo {record.commit.repo} at commit {record.commit.id}")
        self._file(record, path)
        while self._waiting:
            place, at = self._waiting.popleft()
            if self._graph.is_full:
                self._graph.is_cut = True
                break
            node = self._graph.files[place]
            if down:
                self._follow_down(node, at)
            else:
                self._follow_up(node, at)
        self._say_when_put(
            self._graph.files[:1] if down else [each for each in self._graph.files if not each.runs]
        )
        return self._graph

    # Files.

    def _file(self, record: CommitRecord, path: str) -> int:
        """Return the place of a file that is followed later, a new one if need be."""
        try:
            info = self._open(record).info(path)
        except (Refused, PachletError):  # forgotten, or in the middle of something: named, but not followed
            return self._gone(record.commit, path)
        if info is None and path.strip("/"):
            return self._gone(record.commit, path)
        found = info.path if info is not None else "/"
        key = (record.commit, found)
        if key not in self._places:
            node = FileNode(record.commit, found, info.size if info else 0, info.hash if info else b"")
            node.purged = self._purged(self._open(record), found)
            self._add_file(key, node)
            self._waiting.append((self._places[key], record))
        return self._places[key]

    def _purged(self, files: FileSet, path: str) -> str:
        store = self._files.store
        if not store.tombstones:
            return ""
        entries = files.entries(path) if path.endswith("/") else files.file(path)
        for entry in itertools.islice(entries, _LOOKED_AT):
            found = store.purged(hash for hash, _ in entry.content.chunks)
            if found is not None:
                return f"{entry.path}: {found}" if path.endswith("/") else str(found)
        return ""

    def _gone(self, commit: Commit, path: str) -> int:
        key = (commit, path)
        if key not in self._places:
            self._add_file(key, FileNode(commit, path, is_gone=True))
        return self._places[key]

    def _add_file(self, key: tuple[Commit, str], node: FileNode) -> None:
        self._places[key] = len(self._graph.files)
        self._graph.files.append(node)

    def _open(self, record: CommitRecord) -> FileSet:
        if record.key not in self._opened:
            self._opened[record.key] = self._files.open_commit(self._db, record)
        return self._opened[record.key]

    def _commit(self, commit: Commit) -> CommitRecord | None:
        if commit not in self._commits:
            self._commits[commit] = commits.find_commit(self._db, commit)
        return self._commits[commit]

    # Up.

    def _follow_up(self, node: FileNode, record: CommitRecord) -> None:
        files = self._open(record)
        tags, node.has_more = _tags(files, node.path)
        made = [tag for tag in tags if _DATUM.fullmatch(tag)]
        if made:
            shown, node.not_shown = self._some(made)
            node.runs = [self._run_of(record, each) for each in shown]
        elif node.path.endswith("/"):
            count = files.tree.measure(*keys_below(node.path))[0]
            most = count if not self._limit or count <= self._limit + 1 else self._limit
            node.holds = [each.path for each in itertools.islice(files.entries(node.path), most)]
            node.not_shown, node.has_more = count - len(node.holds), False

    def _say_when_put(self, files: Sequence[FileNode]) -> None:
        """Say which commits put what no run made: those in which it was read show it, but may be much younger."""
        put: dict[Commit, list[FileNode]] = {}
        for node in files:
            if not node.is_gone:
                put.setdefault(node.commit, []).append(node)
        for commit, nodes in put.items():
            if (record := self._commit(commit)) is None:
                continue
            paths = itertools.chain.from_iterable((node.path, *node.holds) for node in nodes)
            wanted = (path for path in paths if not path.endswith("/"))
            found = last_changes(self._db, self._files, record, wanted)
            self._graph.put_in.update((each.key, each) for each in found.values())
            ids = {path: each.commit.id for path, each in found.items()}
            for node in nodes:
                node.put_in = ids.get(node.path, "")
                node.held_since = [ids.get(path, "") for path in node.holds]

    def _run_of(self, record: CommitRecord, datum: str) -> int:
        """Return the place of the run that made what a datum has in a commit."""
        row = self._db.first("job_of_commit", commit=record.key)
        ids = json.dumps([datum])
        found = self._db.first("runs_of_datums", job=row["key"], ids=ids) if row is not None else None
        repo = record.commit.repo
        if found is not None:
            return self._run(repo, found["made_by"], datum, found["record"], up=True)
        text = self._mirrored(repo, record.commit.id, datum)  # the job's row was deleted, its meta commit not
        job = read_json(text)["job"] if text else record.commit.id
        return self._run(repo, job, datum, text, up=True)

    def _run(self, repo: Repo, job: str, datum: str, record: str, *, up: bool) -> int:
        key = (repo, job, datum)
        if key not in self._run_places:
            self._run_places[key] = len(self._graph.runs)
            node = RunNode(repo, job, datum, record, *self._ran(repo, job))
            self._graph.runs.append(node)
            if up and record:
                node.files = [self._input(each) for each in read_json(record)["inputs"]]
        return self._run_places[key]

    def _ran(self, repo: Repo, job: str) -> tuple[int | None, int | None]:
        key = (repo, job)
        if key not in self._jobs_ran:
            found = find_job(self._db, repo.project, repo.name, job)
            self._jobs_ran[key] = (found.started, found.finished) if found else (None, None)
        return self._jobs_ran[key]

    def _input(self, each: dict[str, Any]) -> int:
        commit = Commit(Repo(each["project"], each["repo"], each["type"]), each["commit"])
        record = self._commit(commit)
        return self._gone(commit, each["path"]) if record is None else self._file(record, each["path"])

    def _mirrored(self, repo: Repo, id: str, datum: str) -> str:
        meta = self._commit(Commit(repo.meta, id))
        if meta is None or meta.finished is None:
            return ""
        found = self._open(meta).file(f"/meta/{datum}/meta")
        return b"".join(b"".join(self._files.read(each.content)) for each in found).decode()

    # Down.

    def _follow_down(self, node: FileNode, record: CommitRecord) -> None:
        for jobs in _by_pipeline(self._db.all("jobs_downstream_of", commit=record.key)):
            rows, more = self._readers(jobs, record.commit.repo, node.path)
            node.has_more |= more
            for job, row in rows:
                output = commits.get_commit(self._db, job.output)
                place = self._run(output.commit.repo, row["made_by"], row["id"], row["record"], up=False)
                node.runs.append(place)
                run = self._graph.runs[place]
                if not run.files and not run.not_shown:
                    self._add_outputs(run, job, output)

    def _readers(
        self, jobs: Sequence[JobRecord], repo: Repo, path: str
    ) -> tuple[list[tuple[JobRecord, Row]], bool]:
        """Return the runs of a pipeline that read a path, newest job first, and whether there may be more.

        What a job kept it has from its base; so of a job whose base is among `jobs`, only what it ran itself is new.
        """
        found: dict[int, tuple[JobRecord, Row]] = {}
        known = {job.id for job in jobs}
        where = {"project": repo.project, "repo": repo.name, "type": repo.type, "path": path}
        for number, job in enumerate(jobs):
            most = self._limit + 2 - len(found) if self._limit else -1
            base = read_json(job.plan or "{}").get("base", "")
            own = job.id if number and base in known else ""
            if own and not job.processed + job.failed + job.recovered:
                continue
            for row in self._db.all("runs_that_read", job=job.key, own=own, number=most, **where):
                found.setdefault(row["key"], (job, row))
            if self._limit and len(found) > self._limit + 1:
                return list(found.values())[: self._limit], True
        return list(found.values()), False

    def _add_outputs(self, run: RunNode, job: JobRecord, output: CommitRecord) -> None:
        meta = commits.get_commit(self._db, job.meta)
        if meta.finished is None or output.finished is None:
            return
        prefix = output_prefix(run.datum)
        mirror = self._open(meta)
        count = mirror.tree.measure(*keys_below(prefix))[0]
        most = count if not self._limit or count <= self._limit + 1 else self._limit
        written = [each.path[len(prefix) - 1 :] for each in itertools.islice(mirror.entries(prefix), most)]
        run.files = [self._file(output, path) for path in written]
        run.not_shown = count - len(written)

    def _some(self, every: list[str]) -> tuple[list[str], int]:
        """Return those to follow, and how many are left out; one is never left out alone."""
        shown = every if not self._limit or len(every) <= self._limit + 1 else every[: self._limit]
        return shown, len(every) - len(shown)


def commits_behind(db: Statements, graph: Graph) -> list[CommitRecord]:
    """Return the commits of a graph's files, also those in which they were put, those of its runs' jobs, and those of
    users that set these off."""
    found = dict(graph.put_in)
    for each in dict.fromkeys(node.commit for node in graph.files if not node.is_gone):
        record = commits.find_commit(db, each)
        if record is not None:
            found[record.key] = record
    for repo, id in dict.fromkeys((run.repo, run.job) for run in graph.runs):
        for row in db.all("commits_that_set_off", id=id, project=repo.project, name=repo.name):
            if row["key"] not in found and row["type"] in (USER, "spec"):
                found[row["key"]] = CommitRecord.of(row)
    return list(found.values())


def _tags(files: FileSet, path: str) -> tuple[list[str], bool]:
    """Return the tags of the entries at or below a path, each once, and whether there are entries not looked at."""
    bounds = keys_below(path) if path.endswith("/") else keys_of(path)
    scanned = files.tree.scan(*bounds)
    tags = dict.fromkeys(key.rpartition(b"\0")[2] for key, _ in itertools.islice(scanned, _LOOKED_AT))
    return [tag.decode() for tag in tags], next(scanned, None) is not None


def _by_pipeline(rows: Iterable[Row]) -> Iterator[list[JobRecord]]:
    """Yield the jobs of each pipeline, newest first, the pipelines in the order in which they were made."""
    jobs = sorted(map(JobRecord.of, rows), key=lambda job: (job.pipeline, -job.key))
    for _, group in itertools.groupby(jobs, key=lambda job: job.pipeline):
        yield list(group)
