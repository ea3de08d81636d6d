"""Say why a datum of a job ran or was kept, and what is different from the last time.

All that Pachyderm's own RPCs tell is read from them, of any server: the job before that ended well, the datum in
both, its files' hashes, the salts and inputs of both versions. What they do not tell (the policy of skipping, the code
that a job found, what an update asked to be run again) a pachlet server has remembered (pachlet.v1.Datums).

Read next: pachlet/pps/skipping.py (the rule), datum_search.py, lineage/ (what a file was made of).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pachlet.announcing import is_other
from pachlet.client import names
from pachlet.client.commits import inspect_commit
from pachlet.client.connection import Connection, Message
from pachlet.client.datum_search import find_datum
from pachlet.client.datums import inspect_datum
from pachlet.client.files import find_file
from pachlet.client.jobs import inspect_job, is_terminal
from pachlet.client.kept import inspect_plan
from pachlet.client.pipelines import inspect_pipeline
from pachlet.errors import NotFound
from pachlet.globs import Glob

_MOST_FILES = 5
_SHORT = 12


@dataclass(frozen=True)
class Difference:
    """One thing that is different from the last time, and a sentence about it."""

    kind: str
    """new, input, changed, reprocessed, failed, recovered, asked, code or every-job."""
    sentence: str


@dataclass(frozen=True)
class Why:
    """Why a datum ran or was kept."""

    pipeline: str
    job: str
    datum: str
    files: tuple[str, ...]
    state: str
    """As in list datum; GONE if the job has none of it any more."""
    made_by: str
    """The job that ran it."""
    image: str
    base: str
    """The job that this one was compared with; empty if there is none."""
    differences: tuple[Difference, ...]
    sentences: tuple[str, ...]


def why(connection: Connection, job: str, wanted: str) -> Why:
    """Explain a datum, given by its id, the beginning of it, or the path of a file.

    Raises:
        NotFound: neither the job nor the one before has such a datum, or it is not settled yet.
        Usage: several are meant.
    """
    return _Inquiry(connection, job).explain(wanted)


class _Inquiry:
    def __init__(self, connection: Connection, job: str) -> None:
        self._connection = connection
        self._info = inspect_job(connection, job)
        pipeline = self._info.job.pipeline
        self._pipeline = f"{pipeline.project.name}/{pipeline.name}"
        self._job = f"{self._pipeline}@{self._info.job.id}"
        self._plan = inspect_plan(connection, self._job)
        self._base = self._find_base()

    def explain(self, wanted: str) -> Why:
        datum = find_datum(self._connection, self._job, wanted)
        if datum is None:
            return self._explain_absence(wanted)
        before = self._in_base(datum.datum.id)
        state = _state(datum)
        differences: list[Difference] = []
        if state == "SKIPPED":
            sentences = self._why_kept(datum)
        else:
            # Other code is why a datum ran only if nothing else is.
            differences = list(self._differences(datum, before)) or list(self._other_code(datum, before))
            sentences = [self._why_ran(state, differences), *(each.sentence for each in differences)]
        return self._answer(datum, state, differences, [*sentences, *self._unknown(differences, state)])

    def _answer(
        self, datum: Message, state: str, differences: Sequence[Difference], sentences: Sequence[str]
    ) -> Why:
        return Why(
            pipeline=self._pipeline,
            job=self._info.job.id,
            datum=datum.datum.id,
            files=tuple(names.show_file(each.file) for each in datum.data),
            state=state,
            made_by=datum.datum.job.id,
            image=datum.image_id,
            base=self._base.job.id if self._base is not None else "",
            differences=tuple(differences),
            sentences=tuple(sentences),
        )

    def _find_base(self) -> Message | None:
        """Return the JobInfo of the nearest ancestor that ended well, as a server chooses it."""
        if self._plan is not None and self._plan.is_planned:
            return self._job_info(self._plan.base) if self._plan.base else None
        at = inspect_commit(self._connection, f"{self._pipeline}@{self._info.job.id}")
        while at.HasField("parent_commit"):
            at = inspect_commit(self._connection, names.show_commit(at.parent_commit))
            if not at.error and (found := self._job_info(at.commit.id)) is not None:
                return found
        return None

    def _job_info(self, id: str) -> Message | None:
        try:
            return inspect_job(self._connection, f"{self._pipeline}@{id}")
        except NotFound:  # deleted, or no job's commit
            return None

    def _in_base(self, datum: str) -> Message | None:
        if self._base is None:
            return None
        try:
            return inspect_datum(self._connection, f"{self._pipeline}@{self._base.job.id}", datum)
        except NotFound:
            return None

    # Why it is not there.

    def _explain_absence(self, wanted: str) -> Why:
        base = f"{self._pipeline}@{self._base.job.id}" if self._base is not None else ""
        before = find_datum(self._connection, base, wanted) if base else None
        if not is_terminal(self._info):
            raise NotFound(
                f"no datum of {self._job} that is settled has {wanted}; the job is not over",
                hint=f"pachctl wait job {self._job}",
            )
        if before is None:
            raise NotFound(
                f"neither {self._job} nor the job before has a datum with {wanted}",
                hint=f"pachctl list datum {self._job}",
            )
        gone = [each.file for each in before.data if not self._is_there(each.file, self._info)]
        sentences = [f"{self._job} has no such datum any more; what it made was dropped from the output."]
        sentences += [f"{file.path} of {file.commit.repo.name} was deleted." for file in gone]
        if not gone:
            sentences += [each.sentence for each in self._input_differences()]
        return self._answer(before, "GONE", (), sentences)

    def _is_there(self, file: Message, job: Message) -> bool:
        """Tell whether a job's commits have a file; the job's id stands for them in every repo that it reads."""
        repo = f"{file.commit.repo.project.name}/{file.commit.repo.name}"
        try:
            return find_file(self._connection, f"{repo}@{job.job.id}:{file.path}") is not None
        except NotFound:
            return False

    # Why it was kept.

    def _why_kept(self, datum: Message) -> list[str]:
        maker = datum.datum.job.id
        said = [
            f"Kept: its files and the salt are what they were when job {maker} ran it, and it succeeded."
            f" It ran {datum.image_id or 'code that is not recorded'}."
        ]
        plan = self._plan
        if plan is not None and plan.code and is_other(_code_of(datum, plan), plan.code):
            said.append(
                f"The code of job {self._info.job.id} is other, {plan.code.partition('+')[0]}:"
                f" an update declared what was there good ({_REPROCESS})."
                if plan.takes_any_code
                else f"The code of job {self._info.job.id} is other, {plan.code.partition('+')[0]}: under the policy"
                f" {plan.policy} that makes nothing run again. `pachctl rerun pipeline"
                f" {self._info.job.pipeline.name} --reprocess` does."
            )
        return said

    # Why it ran.

    def _why_ran(self, state: str, differences: Sequence[Difference]) -> str:
        how = {"FAILED": "It ran and failed", "RECOVERED": "It ran, failed and was recovered by err_cmd"}
        ran = how.get(state, "It ran")
        if self._base is None:
            return f"{ran}: no earlier job of {self._pipeline} ended well, so there was nothing to keep."
        compared = f"compared with job {self._base.job.id}"
        if differences:
            return f"{ran}; {compared}:"
        return f"{ran}; {compared}, all that can be seen of it is the same."

    def _differences(self, datum: Message, before: Message | None) -> Iterator[Difference]:
        if self._base is None:
            return
        if before is None:
            yield from self._why_new(datum)
            return
        if (state := _state(before)) in ("FAILED", "RECOVERED"):
            yield Difference(
                state.lower(), f"There it {_ENDED[state]}, and what did not succeed is run again."
            )
        if self._info.details.salt != self._base.details.salt:
            said = "The salt is new: an update, or the cluster's defaults, asked to reprocess all."
            yield Difference("reprocessed", said)
        yield from self._changed_files(datum, before)
        yield from self._asked(datum)
        if self._runs_every_job():
            yield Difference("every-job", "The spec says reprocess_spec: every_job, so each job runs all.")

    def _why_new(self, datum: Message) -> Iterator[Difference]:
        assert self._base is not None
        changed = list(self._input_differences())
        new = [each.file for each in datum.data if not self._is_there(each.file, self._base)]
        for file in new[:_MOST_FILES]:
            commit = file.commit.id[:_SHORT]
            yield Difference("new", f"{file.path} of {file.commit.repo.name} is new, in commit {commit}.")
        if len(new) > _MOST_FILES:
            yield Difference("new", f"So are {len(new) - _MOST_FILES} more files.")
        yield from changed
        if not new and not changed:
            yield Difference("new", "That job had no datum of just these files.")

    def _input_differences(self) -> Iterator[Difference]:
        """Yield what is different in the inputs of the two jobs; it makes other ids, so that all datums are new."""
        if self._base is None:
            return
        now, then = (dict(_leaves(each.details.input)) for each in (self._info, self._base))
        version = f"since version {self._info.pipeline_version} (it was {self._base.pipeline_version})"
        for name in sorted({*now, *then}):
            if name not in then:
                yield Difference("input", f"Input {name} is new {version}: all datums are others by name.")
            elif name not in now:
                yield Difference("input", f"Input {name} is gone {version}: all datums are others by name.")
            else:
                for field, value in now[name].items():
                    if value != (old := then[name][field]):
                        said = f"The {field} of input {name} is {value!r} {version}, and was {old!r}."
                        yield Difference("input", said)

    def _changed_files(self, datum: Message, before: Message) -> Iterator[Difference]:
        references = {name for name, leaf in _leaves(self._info.details.input) if leaf["reference"] == "yes"}
        inputs = {leaf["repo"]: name for name, leaf in _leaves(self._info.details.input)}
        changed = [
            (new, old)
            for new, old in zip(datum.data, before.data, strict=True)
            if new.hash != old.hash and inputs.get(new.file.commit.repo.name) not in references
        ]
        for new, old in changed[:_MOST_FILES]:
            file = new.file
            said = (
                f"{file.path} of {file.commit.repo.name} changed: {old.size_bytes} to {new.size_bytes} bytes,"
                f" hash {old.hash.hex()[:_SHORT]} to {new.hash.hex()[:_SHORT]}"
                f" (commit {old.file.commit.id[:_SHORT]} to {file.commit.id[:_SHORT]})."
            )
            yield Difference("changed", said)
        if len(changed) > _MOST_FILES:
            yield Difference("changed", f"So did {len(changed) - _MOST_FILES} more files.")

    def _asked(self, datum: Message) -> Iterator[Difference]:
        paths = [each.file.path for each in datum.data]
        for pattern in self._plan.asked if self._plan is not None else ():
            glob = Glob(pattern)
            if any(glob.match(path) is not None for path in paths):
                yield Difference(
                    "asked", f"An update asked to run again what {pattern} matches ({_REPROCESS})."
                )

    def _runs_every_job(self) -> bool:
        name = self._pipeline
        current = inspect_pipeline(self._connection, name)
        back = current.version - self._info.pipeline_version
        info = inspect_pipeline(self._connection, f"{name}^{back}") if back > 0 else current
        return bool(info.details.reprocess_spec == "every_job")

    def _other_code(self, datum: Message, before: Message | None) -> Iterator[Difference]:
        plan = self._plan
        if before is None or plan is None or not plan.runs.get("code"):
            return
        old, new = before.image_id.partition("@")[2], datum.image_id.partition("@")[2]
        what = f"image {old[:19]} to {new[:19]}" if old != new else "the transform"
        yield Difference("code", f"The code changed ({what}), which counts under the policy code-aware.")

    def _unknown(self, differences: Sequence[Difference], state: str) -> Iterator[str]:
        if self._plan is None and (state == "SKIPPED" or (self._base is not None and not differences)):
            yield (
                f"{self._connection.address} is not a pachlet server: which code a job found, and what an update"
                " asked for, it does not tell."
            )


_REPROCESS = "pachlet/reprocess"
_ENDED = {"FAILED": "failed", "RECOVERED": "failed and was recovered"}


def _state(datum: Message) -> str:
    from pachlet.wire import schema

    return schema.enum_name("pps_v2.DatumState", datum.state)


def _code_of(datum: Message, plan: Message) -> str:
    """Return the code of a kept datum: of those that the plan names, the one with its image."""
    digest = datum.image_id.partition("@")[2]
    codes = [code for code in plan.kept if code.partition("+")[0] == digest]
    return codes[0] if len(codes) == 1 else f"{digest}+"


def _leaves(part: Message) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the name of each leaf of an input, with what decides which datums it makes."""
    if part.HasField("pfs"):
        leaf = part.pfs
        yield (
            leaf.name,
            {
                "repo": leaf.repo,
                "branch": leaf.branch,
                "glob": leaf.glob,
                "join_on": leaf.join_on,
                "group_by": leaf.group_by,
                "reference": "yes" if leaf.reference else "no",
            },
        )
    for kind in (part.cross, part.union, part.join, part.group):
        for inner in kind:
            yield from _leaves(inner)
