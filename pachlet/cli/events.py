"""Tell a program how far something is: each event is a line of JSON on stderr.

`-o json` and `--events` ask for it. A line that does not begin with `{` is one for people, as without. The events:

    {"event": "waiting", "for": "creating edges", "seconds": 2.0}
    {"event": "step", "text": "tick 3 of 10"}
    {"event": "bytes", "what": "put", "done": 1048576, "total": 4194304, "seconds": 2.1}
    {"event": "job", "project": "default", "pipeline": "edges", "job": "9f...", "state": "running", "reason": "",
     "processed": 3, "skipped": 0, "failed": 0, "recovered": 0, "total": 10}
    {"event": "jobs", "over": 1, "of": 2, "seconds": 4.0}

Read next: progress.py (the same for people).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import Any, TextIO

from pachlet.cli.progress import SILENT, Progress
from pachlet.client.connection import Message
from pachlet.client.jobs import TERMINAL, state_of


class Events(Progress):
    """The Progress of a run that another program watches: never live, and the same things are told."""

    def __init__(
        self, out: TextIO, *, clock: Callable[[], float] = time.monotonic, patience: float = SILENT
    ) -> None:
        super().__init__(out, live=False, clock=clock, patience=patience)
        self._jobs: dict[tuple[str, str, str], dict[str, Any]] = {}

    def _event(self, kind: str, **facts: Any) -> None:
        self.line(json.dumps({"event": kind, **facts}, ensure_ascii=False))

    def step(self, text: str) -> None:
        self._is_used = True
        if self._is_due():
            self._event("step", text=text)

    def _tell_wait(self, what: str, seconds: float) -> None:
        self._event("waiting", **{"for": what, "seconds": round(seconds, 1)})

    def _tell_bytes(self, what: str, done: int, total: Callable[[], int | None], began: float) -> None:
        if self._is_due() or done == total():
            seconds = round(self._clock() - began, 1)
            self._event("bytes", what=what, done=done, total=total(), seconds=seconds)

    def jobs(self, infos: Sequence[Message]) -> None:
        self._is_used = True
        for info in infos:
            facts = _facts(info)
            key = (facts["project"], facts["pipeline"], facts["job"])
            if self._jobs.get(key) != facts:
                self._jobs[key] = facts
                self._event("job", **facts)
        over = sum(state_of(info) in TERMINAL for info in infos)
        if over < len(infos) and self._is_due():
            self._event("jobs", over=over, of=len(infos), seconds=round(self._clock() - self._began, 1))


def _facts(info: Message) -> dict[str, Any]:
    return {
        "project": info.job.pipeline.project.name,
        "pipeline": info.job.pipeline.name,
        "job": info.job.id,
        "state": state_of(info).removeprefix("JOB_").lower(),
        "reason": info.reason,
        "processed": info.data_processed,
        "skipped": info.data_skipped,
        "failed": info.data_failed,
        "recovered": info.data_recovered,
        "total": info.data_total,
    }
