"""Choose log lines by the data that their datum read: data_filters, each a path or a hash, hexadecimal or base64.

What a datum that is settled read stands in its record; for one of a job that still runs, the job's inputs are asked for
their datums again, which gives the same.

Read next: log_service.py, pachlet/pps/datums.py.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from pachlet.api.messages import make
from pachlet.errors import PachletError
from pachlet.metadb.connect import Row
from pachlet.metadb.connect import Transaction as Statements
from pachlet.metadb.stored_json import read_json
from pachlet.pfs import commits
from pachlet.pps.datums import enumerate_datums
from pachlet.pps.engine import Engine
from pachlet.pps.inputs import parse_input
from pachlet.pps.job_inputs import JobInputs
from pachlet.pps.jobs import JobRecord
from pachlet.pps.pipelines import get_pipeline


@dataclass(frozen=True)
class InputFile:
    """What a datum read: a path, and the hash of what was there."""

    path: str
    hash: bytes

    def matches(self, wanted: str) -> bool:
        """Tell whether this is what a filter names."""
        names = (self.path, self.hash.hex(), base64.b64encode(self.hash).decode())
        return wanted in names or wanted == self.path.rstrip("/")


class LogFilter:
    """Tells which lines of a pipeline are of datums that read all that its filters name; without filters, all are."""

    def __init__(self, engine: Engine, pipeline: int, filters: tuple[str, ...]) -> None:
        self.filters = filters
        self._engine = engine
        self._pipeline = pipeline
        self._matching: dict[str, dict[str, list[InputFile]]] = {}

    def keeps(self, row: Row) -> bool:
        """Tell whether a line is wanted."""
        return not self.filters or row["datum"] in self._of_job(row["job"])

    def data_of(self, row: Row) -> list[Any]:
        """Return what the line's datum read, as pps_v2.InputFiles; it is looked up only for filters."""
        files = self._of_job(row["job"]).get(row["datum"], []) if self.filters else []
        return [make("pps_v2.InputFile", path=each.path, hash=each.hash) for each in files]

    def _of_job(self, id: str) -> dict[str, list[InputFile]]:
        if id in self._matching:
            return self._matching[id]
        with self._engine.database.read() as db:
            row = db.first("get_job", pipeline=self._pipeline, id=id)
            found = self._datums(db, JobRecord.of(row)) if row else {}
        matching = {
            datum: files
            for datum, files in found.items()
            if all(any(each.matches(wanted) for each in files) for wanted in self.filters)
        }
        if found:  # a job that waits for its inputs has its datums later
            self._matching[id] = matching
        return matching

    def _datums(self, db: Statements, job: JobRecord) -> dict[str, list[InputFile]]:
        if job.state.is_terminal:
            return {
                row["id"]: [
                    InputFile(each["path"], bytes.fromhex(each["hash"])) for each in read_json(row["inputs"])
                ]
                for row in db.all("inputs_of_own_datums", job=job.key, id=job.id)
            }
        owner = get_pipeline(db, job.pipeline, job.version)
        if not owner.spec.get("input"):
            return {}
        inputs = JobInputs(self._engine.files, commits.upstream(db, job.output))
        try:
            found = list(enumerate_datums(parse_input(owner.spec["input"], owner.project), inputs.match))
        except PachletError:  # its inputs are not there yet, or no more: nothing of it has run
            return {}
        return {each.id: [InputFile(file.path, file.hash) for file in each.files] for each in found}
