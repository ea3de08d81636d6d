"""Follow files through a Pachyderm that is not pachlet: through its API, call by call.

An output file carries the id of its datum as a tag. The datum knows its input files and the job that ran it, which may
be older than the commit if the datum was skipped since. What it wrote is mirrored in the meta repo. Which code ran is
what `image_id` says; a pachlet's record beside it says more. Where nothing tells the git commit, the annotations do,
which `deploy` and `apply` leave on the pipeline: those of the version that ran, never of its newest.

Read next: asking.py (who calls), pachlet/pps/lineage.py (the same in a server, in few queries).
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from pachlet.client import names
from pachlet.client.apply import DIGEST, DIRTY, GIT
from pachlet.client.commits import inspect_commit, last_change
from pachlet.client.connection import Connection, Message
from pachlet.client.datums import datum_record, inspect_datum, list_datum
from pachlet.client.files import inspect_file, walk_file
from pachlet.client.jobs import inspect_job
from pachlet.client.lineage.asking import commit_of, repo_word, time_of
from pachlet.client.lineage.graph import File, Graph, Run
from pachlet.client.pipelines import ALL_VERSIONS, list_pipeline
from pachlet.errors import NotFound, PachletError

_DATUM_ID = re.compile(r"[0-9a-f]{64}")
_DIR = 2  # FileType.DIR


def walk(connection: Connection, named: dict[str, Any], *, down: bool, limit: int) -> Graph:
    """Return the graph of a file, named as pfs_v2.File does."""
    return _Walk(connection, limit, is_down=down).walk(named)


class _Walk:
    def __init__(self, connection: Connection, limit: int, *, is_down: bool) -> None:
        self._connection = connection
        self._limit = limit
        self._graph = Graph(is_down)
        self._places: dict[str, int] = {}
        self._run_places: dict[tuple[str, str, str, str], int] = {}
        self._waiting: deque[tuple[File, Message]] = deque()
        self._jobs: dict[str, tuple[int, str, str]] = {}
        self._versions: dict[str, dict[int, Message]] = {}

    def walk(self, named: dict[str, Any]) -> Graph:
        info = self._connection.call("pfs_v2.API", "InspectFile", {"file": named})
        self._add(info)
        while self._waiting:
            file, found = self._waiting.popleft()
            if self._graph.is_down:
                self._go_down(file, found)
            else:
                self._go_up(file, found)
        self._say_when_put()
        return self._graph

    # Files.

    def _add(self, info: Message) -> int:
        where = info.file.commit
        key = names.show_file(info.file)
        if key not in self._places:
            self._places[key] = len(self._graph.files)
            file = File(where.repo.project.name, repo_word(where.repo), where.id, info.file.path)
            file.size_bytes, file.hash = info.size_bytes, info.hash.hex()
            self._graph.files.append(file)
            self._waiting.append((file, info))
            self._look_at(names.show_commit(where))
        return self._places[key]

    def _at(self, file: Message) -> int:
        try:
            return self._add(inspect_file(self._connection, names.show_file(file)))
        except NotFound:
            key = names.show_file(file)
            if key not in self._places:
                self._places[key] = len(self._graph.files)
                repo = file.commit.repo
                gone = File(repo.project.name, repo_word(repo), file.commit.id, file.path, is_gone=True)
                self._graph.files.append(gone)
            return self._places[key]

    def _look_at(self, commit: str) -> Message | None:
        """Return a CommitInfo, and keep what it says."""
        try:
            info = inspect_commit(self._connection, commit)
        except PachletError:  # it may be squashed
            return None
        self._graph.commits.setdefault(commit, commit_of(info))
        return info

    # Up.

    def _go_up(self, file: File, info: Message) -> None:
        files = self._files(info)
        datums = [tag for tag in dict.fromkeys(each.datum for each in files) if _DATUM_ID.fullmatch(tag)]
        followed, file.not_shown = self._some(datums or [each.path for each in files])
        if datums:
            file.runs = [self._run(info.file.commit, datum) for datum in followed]
        elif info.file_type == _DIR:
            file.holds = list(followed)
        else:
            file.not_shown = 0

    def _say_when_put(self) -> None:
        """Say which commits put what no run made: those in which it was read show it, but may be much younger."""
        files = self._graph.files[:1] if self._graph.is_down else self._graph.files
        for file in files:
            if not file.is_gone and (self._graph.is_down or not file.runs):
                where = f"{file.project}/{file.repo}@{file.commit}:"
                file.put_in = "" if file.path.endswith("/") else self._last_change(where + file.path)
                file.held_since = [self._last_change(where + path) for path in file.holds]

    def _last_change(self, file: str) -> str:
        try:
            id = last_change(self._connection, file)
        except PachletError:  # its history may be forgotten
            return ""
        if id:
            self._look_at(f"{file.partition('@')[0]}@{id}")
        return id

    def _files(self, info: Message) -> list[Message]:
        """Return the file itself, or the files of a folder in the order of paths."""
        if info.file_type != _DIR:
            return [info.file]
        below = walk_file(self._connection, names.show_file(info.file))
        return [child.file for child in below if child.file_type != _DIR]

    def _some(self, every: Sequence[str]) -> tuple[Sequence[str], int]:
        """Return those to show, and how many are left out; one is never left out alone."""
        shown = every if not self._limit or len(every) <= self._limit + 1 else every[: self._limit]
        return shown, len(every) - len(shown)

    def _run(self, commit: Message, datum: str) -> int:
        project, pipeline = commit.repo.project.name, commit.repo.name
        try:
            info = inspect_datum(self._connection, f"{project}/{pipeline}@{commit.id}", datum)
        except NotFound:  # the pipeline was deleted, its output repo kept
            return self._add_run(Run(project, pipeline, commit.id, datum))[0]
        place, is_new = self._run_of(project, pipeline, commit.id, info)
        if is_new:
            self._graph.runs[place].files = [self._at(each.file) for each in info.data]
        return place

    def _run_of(self, project: str, pipeline: str, commit: str, info: Message) -> tuple[int, bool]:
        """Return the place of the run that a DatumInfo of a job is about, and whether it is new."""
        job = info.datum.job.id or commit
        run = Run(project, pipeline, job, info.datum.id)
        place, is_new = self._add_run(run)
        if is_new:
            run.version, run.started, run.finished = self._job(f"{project}/{pipeline}@{job}")
        if is_new and (record := datum_record(self._connection, info)):
            run.read_record(record)
        elif is_new:
            run.image, _, run.digest = info.image_id.partition("@")
            run.spec_commit = self._spec(f"{project}/{pipeline}@{job}")
        if is_new:
            self._read_version(run)
        return place, is_new

    def _read_version(self, run: Run) -> None:
        """Take what the version of the pipeline that ran says of its code, where nothing else does."""
        name = f"{run.project}/{run.pipeline}"
        if name not in self._versions:
            try:
                every = list(list_pipeline(self._connection, name, history=ALL_VERSIONS))
            except PachletError:  # it was deleted
                every = []
            self._versions[name] = {int(each.version): each for each in every}
        if (info := self._versions[name].get(run.version)) is None:
            return
        noted, image = info.details.metadata.annotations, info.details.transform.image
        run.cmd = run.cmd or list(info.details.transform.cmd)
        if not run.image:
            run.image, _, run.digest = image.partition("@")
        if run.facts.get("git_commit"):
            return
        facts = {"code_digest": DIGEST, "git_commit": GIT}
        run.facts = {**run.facts, **{fact: noted[key] for fact, key in facts.items() if key in noted}}
        if DIRTY in noted:
            run.facts = {**run.facts, "dirty": noted[DIRTY] == "true"}

    def _add_run(self, run: Run) -> tuple[int, bool]:
        key = (run.project, run.pipeline, run.job, run.datum)
        is_new = key not in self._run_places
        if is_new:
            self._run_places[key] = len(self._graph.runs)
            self._graph.runs.append(run)
            self._look_at(f"{run.project}/{run.pipeline}@{run.job}")
        return self._run_places[key], is_new

    def _job(self, job: str) -> tuple[int, str, str]:
        """Return the version of the pipeline that a job is of, and when it began and ended."""
        if job not in self._jobs:
            try:
                info = inspect_job(self._connection, job, details=False)
            except NotFound:  # the job's record may be deleted; its output and datums are still there
                self._jobs[job] = (0, "", "")
            else:
                times = time_of(info, "started"), time_of(info, "finished")
                self._jobs[job] = (int(info.pipeline_version), *times)
        return self._jobs[job]

    def _spec(self, job: str) -> str:
        info = self._look_at(job)
        spec = (each.id for each in (info.direct_provenance if info else ()) if each.repo.type == "spec")
        return next(spec, "")

    # Down.

    def _go_down(self, file: File, info: Message) -> None:
        where = info.file.commit
        found = self._look_at(names.show_commit(where))
        for each in found.direct_subvenance if found else ():
            if each.repo.type != "user":
                continue
            job = names.show_commit(each)
            readers = self._readers(job, info.file)
            most = list(islice(readers, self._limit + 2)) if self._limit else list(readers)
            shown = most if not self._limit or len(most) <= self._limit + 1 else most[: self._limit]
            file.has_more |= len(shown) < len(most)
            for datum in shown:
                place, is_new = self._run_of(each.repo.project.name, each.repo.name, each.id, datum)
                file.runs.append(place)
                if is_new:
                    self._add_outputs(self._graph.runs[place], job, datum.datum.id)

    def _readers(self, job: str, file: Message) -> Iterator[Message]:
        """Yield the datums of a job that read a file, a folder that it is in, or what is in it."""
        try:
            for info in list_datum(self._connection, job):
                if any(_reads(each.file, file) for each in info.data):
                    yield info
        except NotFound:  # a branch that no pipeline makes
            return

    def _add_outputs(self, run: Run, job: str, datum: str) -> None:
        pipeline, _, commit = job.partition("@")
        prefix = f"/pfs/{datum}/out"
        try:
            below = walk_file(self._connection, f"{pipeline}.meta@{commit}:{prefix}/")
            written = [each.file.path[len(prefix) :] for each in below if each.file_type != _DIR]
            shown, run.not_shown = self._some(written)
            run.files = [self._add(inspect_file(self._connection, f"{job}:{path}")) for path in shown]
        except NotFound:  # it wrote nothing, or its commit is squashed
            return


def _reads(input: Message, file: Message) -> bool:
    of, there = input.commit.repo, file.commit.repo
    if (of.project.name, of.name, of.type) != (there.project.name, there.name, there.type):
        return False
    ours, theirs = str(input.path), str(file.path)
    return (
        ours == theirs
        or (ours.endswith("/") and theirs.startswith(ours))
        or (theirs.endswith("/") and ours.startswith(theirs))
    )
