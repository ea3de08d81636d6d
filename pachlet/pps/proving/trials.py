"""What becomes of the datums of a proof: each is compared in the thread of the worker that ran it.

Read next: proving.py (who offers them), differing.py (how a file is compared).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from pachlet.errors import Refused
from pachlet.pfs.files import Files
from pachlet.pps.datum_folder import Found
from pachlet.pps.job_inputs import JobInputs
from pachlet.pps.pipelines import PipelineRecord
from pachlet.pps.planning import PlannedDatum
from pachlet.pps.proving.differing import Bytes, Compared, compare
from pachlet.pps.proving.remaking import Batch, Recorded
from pachlet.pps.proving.surroundings import differences
from pachlet.pps.proving.tally import Tally
from pachlet.pps.proving.telling import FileVerdict, StepVerdict, Verdict
from pachlet.pps.states import DatumState
from pachlet.storage.content import Content
from pachlet.worker.head import Output, Result, Work
from pachlet.worker.interface import Prepared
from pachlet.worker.scratch import open_file

_BLOCK = 1 << 20
_SHOWN = 3
"""Files of a datum that can't be run are named."""


@dataclass(frozen=True)
class Made:
    """A batch that is ready to run."""

    tally: Tally
    batch: Batch
    pipeline: PipelineRecord
    inputs: JobInputs
    prepared: Prepared
    work: Work

    @property
    def step(self) -> tuple[str, str, int, str]:
        """What is or is not deterministic: project, pipeline, version, digest of the image."""
        return self.pipeline.project, self.pipeline.name, self.pipeline.version, self.batch.digest


class Proof(Protocol):
    """Who has datums run, and hears of them; called from any thread."""

    files: Files

    def settled(self, made: Made, recorded: Recorded, verdicts: list[FileVerdict]) -> None:
        """Take what is found out about a datum."""

    def judged(self, verdict: StepVerdict) -> None:
        """Take what is found out about a step."""

    def run_one_by_one(self, made: Made, left: Sequence[tuple[Recorded, PlannedDatum]]) -> None:
        """Run datums again of which one could not be run."""

    def run_once_more(
        self, made: Made, recorded: Recorded, planned: PlannedDatum, first: Mapping[str, bytes]
    ) -> None:
        """Run a datum again that gave what is not stored; `first` are digests of what it gave, by path."""


class Trial:
    """Compares what datums give with what is stored (../leases.py: Proof)."""

    def __init__(self, proof: Proof, made: Made, pairs: Iterable[tuple[Recorded, PlannedDatum]]) -> None:
        self._proof = proof
        self._made = made
        self._left = {recorded.id: (recorded, planned) for recorded, planned in pairs}

    def settle(
        self,
        planned: PlannedDatum,
        result: Result,
        inputs: Sequence[Found],
        outputs: Sequence[tuple[str, Output]],
    ) -> None:
        recorded, _ = self._left[planned.datum.id]
        compared = dict(self._compare(recorded, inputs, outputs))
        verdicts = list(self._verdicts(recorded, result, compared))
        del self._left[recorded.id]
        known = (Verdict.IDENTICAL, Verdict.UNVERIFIED)
        if result.state == recorded.state and any(each.verdict not in known for each in verdicts):
            first = {path: each.digest for path, each in compared.items()}
            self._proof.run_once_more(self._made, recorded, planned, first)
        self._proof.settled(self._made, recorded, verdicts)

    def fail(self, problem: Exception) -> None:
        """Take that a datum could not be run; of several it is not known which."""
        left = list(self._left.values())
        if len(left) > 1:
            self._proof.run_one_by_one(self._made, left)
            return
        for recorded, planned in left:
            read = ", ".join(f"{file.path} of {file.repo.name}" for file in planned.datum.files[:_SHOWN])
            reason = f"the datum of {read} can't be run: {problem}"
            told = unverified(self._made.tally, recorded, reason, self._made.batch.job)
            self._proof.settled(self._made, recorded, told)

    def _purged(self, content: Content) -> str:
        """Return why a stored file can't be compared, '' if it can."""
        found = self._proof.files.store.purged(hash for hash, _ in content.chunks)
        return f"purged: {found}" if found is not None else ""

    def _compare(
        self, recorded: Recorded, inputs: Sequence[Found], outputs: Sequence[tuple[str, Output]]
    ) -> Iterator[tuple[str, Compared]]:
        stored = self._made.tally.stored(recorded.id)
        for path, output in outputs:
            content = stored.get(path)
            if content is not None and self._purged(content):
                continue
            now = _reader(self._proof.files, inputs, output)
            yield path, compare(path, now, partial(self._proof.files.read, content) if content else None)

    def _verdicts(
        self, recorded: Recorded, result: Result, compared: Mapping[str, Compared]
    ) -> Iterator[FileVerdict]:
        tally, around = self._made.tally, differences(recorded.provenance, result.provenance)
        stored = tally.stored(recorded.id)
        failed = ""
        if result.state != recorded.state and result.state != DatumState.SUCCESS:
            failed = f"the step ends as {result.state} here: {result.reason}"
        for path in sorted({*stored, *compared}):
            if path in stored and (gone := self._purged(stored[path])):
                yield FileVerdict(
                    tally.subject.commit, path, Verdict.UNVERIFIED, gone, recorded.id, self._made.batch.job
                )
                continue
            if path not in compared:
                difference = failed or "the step does not write it here"
            else:
                difference = compared[path].difference
            verdict = Verdict.IDENTICAL
            if difference:
                verdict = Verdict.NOT_COMPARABLE if around else Verdict.DIFFERS
            reason = "; ".join([difference, *around]) if difference else ""
            yield FileVerdict(tally.subject.commit, path, verdict, reason, recorded.id, self._made.batch.job)


class Repeat:
    """Compares what a datum gives with what it gave here a moment ago (../leases.py: Proof)."""

    def __init__(self, proof: Proof, made: Made, recorded: Recorded, first: Mapping[str, bytes]) -> None:
        self._proof = proof
        self._made = made
        self._recorded = recorded
        self._first = first

    def settle(
        self,
        planned: PlannedDatum,
        result: Result,
        inputs: Sequence[Found],
        outputs: Sequence[tuple[str, Output]],
    ) -> None:
        second = {
            path: compare(path, _reader(self._proof.files, inputs, output), None).digest
            for path, output in outputs
        }
        paths = sorted({*self._first, *second})
        other = next((path for path in paths if self._first.get(path) != second.get(path)), "")
        is_same = not other and result.state == self._recorded.state
        project, pipeline, version, digest = self._made.step
        self._proof.judged(StepVerdict(project, pipeline, version, digest, is_same, self._recorded.id, other))

    def fail(self, problem: Exception) -> None:
        """Take that the datum could not be run: nothing is found out."""


def unverified(tally: Tally, recorded: Recorded, reason: str, job: str = "") -> list[FileVerdict]:
    """Return what is to be told of the files of a datum that can't be run."""
    commit = tally.subject.commit
    return [
        FileVerdict(commit, path, Verdict.UNVERIFIED, reason, recorded.id, job)
        for path in sorted(tally.stored(recorded.id))
    ]


def _reader(files: Files, inputs: Sequence[Found], output: Output) -> Bytes:
    """Return what reads a file that a step wrote, or the input that it linked to."""
    if isinstance(output, str):
        return partial(_blocks, output)
    contents = next(
        ([each.content for each in found.entries] for found in inputs if found.path == output.path), None
    )
    if contents is None:
        raise Refused(f"the datum has no input {output.path}")
    return partial(_joined, files, contents)


def _blocks(file: str) -> Iterator[bytes]:
    with open_file(file) as source:
        while block := source.read(_BLOCK):
            yield block


def _joined(files: Files, contents: Sequence[Content]) -> Iterator[bytes]:
    for content in contents:
        yield from files.read(content)
