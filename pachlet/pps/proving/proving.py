"""Run the datums of commits again on the server's own workers, and tell what comes of it.

A thread makes each batch of datums ready and offers it as a job would be; the workers hand over what the steps gave,
compare it in their own threads, and a caller takes the news as it comes. Jobs go first: a proof has the workers that
they leave. Where a datum gives something else than is stored, it is run once more: a step that gives two results here
is not deterministic, and one that gives the same result twice was given something else then.

Read next: remaking.py (how a datum is made again), differing.py, surroundings.py, tally.py.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pachlet.errors import FailedPrecondition, PachletError
from pachlet.metadb.changes import Closed
from pachlet.pps.datum_sets import datum_sets
from pachlet.pps.engine import Engine
from pachlet.pps.leases import Offer
from pachlet.pps.permits import requests_of
from pachlet.pps.planning import PlannedDatum
from pachlet.pps.proving.remaking import (
    Batch,
    Recorded,
    Unverifiable,
    batches_of,
    image_of,
    inputs_of,
    make_ready,
    remake,
    spec_of,
)
from pachlet.pps.proving.subjects import Subject, Unprovable
from pachlet.pps.proving.tally import Tally
from pachlet.pps.proving.telling import CommitVerdict, FileVerdict, News, StepVerdict
from pachlet.pps.proving.trials import Made, Repeat, Trial, unverified
from pachlet.pps.running import make_work

log = logging.getLogger(__name__)
_keys = itertools.count(1)
_HEARTBEAT = 1.0
_SECOND_LOOKS = 3
"""So many datums of a step are run once more, until one shows that it is not deterministic."""
_COST = 0.05
"""Seconds that a datum takes besides what its step takes, for the estimate."""


@dataclass
class _Step:
    """What is known of how deterministic a step is."""

    looks: int = 0
    is_known: bool = False


class Proving:
    """One proof, of some commits. `news` is for one thread, `cancel` for any."""

    def __init__(self, engine: Engine, subjects: Sequence[Subject | Unprovable]) -> None:
        """Prove commits, upstream first.

        Raises:
            FailedPrecondition: the server has no workers of its own.
        """
        if not engine.workers and any(isinstance(each, Subject) for each in subjects):
            raise FailedPrecondition(
                "this server has no workers of its own to run datums again with",
                hint="start it with `pachlet serve --workers 1` or more",
            )
        self.files = engine.files
        self._engine = engine
        self._subjects = subjects
        self._changed = threading.Condition()
        self._news = News()
        self._live: set[int] = set()
        self._room = max(8, 2 * engine.workers)
        self._steps: dict[tuple[str, str, int, str], _Step] = {}
        self._is_fed = self._is_cancelled = False
        self._problem: Exception | None = None
        known = [each for each in subjects if isinstance(each, Subject)]
        self._total = sum(each.datums for each in known)
        self._work = sum(each.seconds + _COST * each.datums for each in known)
        self._done, self._work_done = 0, 0.0
        self._began = time.monotonic()

    def news(self) -> Generator[News, None, None]:
        """Yield what there is to tell as it comes, and at least every second how far it is.

        Raises:
            Closed: the server stops, or it was cancelled.
        """
        threading.Thread(target=self._feed, name="proof", daemon=True).start()
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._news or self._is_over, _HEARTBEAT)
                    news, self._news = self._news, News()
                    news.done, news.total, news.seconds_left = self._done, self._total, self._estimate()
                    is_over, problem = self._is_over, self._problem
                if self._is_cancelled or self._engine.database.changes.is_closed:
                    raise Closed
                if problem is not None:
                    raise problem
                yield news
                if is_over:
                    return
        finally:
            self.cancel()

    def cancel(self) -> None:
        """Stop; what runs is ended."""
        with self._changed:
            self._is_cancelled = True
            live = list(self._live)
            self._changed.notify_all()
        for key in live:
            self._engine.leases.withdraw(key, "the proof was given up")

    @property
    def _is_over(self) -> bool:
        return self._is_cancelled or self._problem is not None or (self._is_fed and not self._live)

    def _estimate(self) -> float | None:
        """Return the seconds that are left: by what was recorded, and how much faster or slower it goes here."""
        left = max(0.0, self._work - self._work_done)
        if not self._work_done:
            return left / max(1, self._engine.workers)
        return left * (time.monotonic() - self._began) / self._work_done

    # What is run.

    def _feed(self) -> None:
        try:
            for each in self._subjects:
                if isinstance(each, Unprovable):
                    self._tell(CommitVerdict(each.commit, Counter(), 0, each.reason, each.is_trouble))
                else:
                    self._begin(each)
        except Closed:
            pass
        except Exception as problem:
            if not isinstance(problem, PachletError):
                log.exception("a proof failed; this is a bug of pachlet")
            self._problem = problem
        finally:
            with self._changed:
                self._is_fed = True
                self._changed.notify_all()

    def _begin(self, subject: Subject) -> None:
        engine = self._engine
        tally = Tally(subject, engine.files.open_finished(subject.commit.root), self._tell)
        with engine.database.read() as db:
            batches = batches_of(db, subject.job.key)
        with self._changed:
            tally.begin(sum(len(each.datums) for each in batches))
        for batch in batches:
            try:
                made = self._make(tally, batch)
            except Unverifiable as problem:
                self._give_up(tally, batch, batch.datums, str(problem))
                continue
            self._offer(made, batch.datums)

    def _make(self, tally: Tally, batch: Batch) -> Made:
        engine = self._engine
        with engine.database.read() as db:
            pipeline = spec_of(db, tally.subject.pipeline, batch)
            inputs = inputs_of(db, engine.files, batch, tally.subject.job.output)
        image = image_of(engine.runner, engine.snapshots, batch)
        prepared = make_ready(engine.runner, engine.snapshots, image)
        try:
            work = make_work(engine, batch.job, pipeline, prepared)
        except PachletError as problem:  # a secret is gone
            raise Unverifiable(problem.message) from None
        work = replace(work, apart=f"proof {id(self)}", stays_warm=False)
        return Made(tally, batch, pipeline, inputs, prepared, work)

    def _offer(self, made: Made, datums: Iterable[Recorded]) -> None:
        pairs = []
        for each in datums:
            try:
                pairs.append((each, remake(made.pipeline, made.inputs, each)))
            except (Unverifiable, PachletError) as problem:  # the latter for a tree that can't be read
                self._give_up(made.tally, made.batch, [each], str(problem))
        if pairs:
            with self._changed:
                self._changed.wait_for(lambda: len(self._live) < self._room or self._is_cancelled)
            self._run(made, Trial(self, made, pairs), pairs)

    def run_one_by_one(self, made: Made, left: Sequence[tuple[Recorded, PlannedDatum]]) -> None:
        for pair in left:
            self._run(made, Trial(self, made, [pair]), [pair])

    def run_once_more(
        self, made: Made, recorded: Recorded, planned: PlannedDatum, first: Mapping[str, bytes]
    ) -> None:
        with self._changed:
            step = self._steps.setdefault(made.step, _Step())
            if step.is_known or step.looks >= _SECOND_LOOKS:
                return
            step.looks += 1
        self._run(made, Repeat(self, made, recorded, first), [(recorded, planned)])

    def _run(self, made: Made, trial: Trial | Repeat, pairs: Iterable[tuple[Recorded, PlannedDatum]]) -> None:
        pipeline, key = made.pipeline, -next(_keys)
        todo, spec = [planned for _, planned in pairs], pipeline.spec
        offer = Offer(
            job=replace(made.tally.subject.job, key=key, id=made.batch.job),
            pipeline=pipeline,
            work=made.work,
            prepared=made.prepared,
            inputs=made.inputs,
            sets=deque(datum_sets(todo, spec.get("datum_set_spec") or {}, pipeline.parallelism)),
            limit=pipeline.parallelism,
            done=lambda: self._end(key),
            failed=lambda problem: self._fail(key, trial, problem),
            memory=requests_of(spec).memory or 0,
            proof=trial,
        )
        with self._changed:
            if self._is_cancelled:
                raise Closed
            self._live.add(key)
        self._engine.leases.offer(offer)

    def _end(self, key: int) -> None:
        with self._changed:
            self._live.discard(key)
            self._changed.notify_all()

    def _fail(self, key: int, trial: Trial | Repeat, problem: Exception) -> None:
        if not isinstance(problem, PachletError | OSError):
            log.error("a datum could not be run again; this is a bug of pachlet", exc_info=problem)
        with contextlib.suppress(Closed):
            trial.fail(problem)
        self._end(key)

    # What is told.

    def settled(self, made: Made, recorded: Recorded, verdicts: list[FileVerdict]) -> None:
        self._settled(made.tally, recorded, verdicts)

    def judged(self, verdict: StepVerdict) -> None:
        with self._changed:
            step = self._steps[verdict.project, verdict.pipeline, verdict.version, verdict.digest]
            if not step.is_known and (not verdict.is_deterministic or step.looks == 1):
                self._tell(verdict)
            step.is_known = step.is_known or not verdict.is_deterministic

    def _give_up(self, tally: Tally, batch: Batch, datums: Iterable[Recorded], reason: str) -> None:
        for each in datums:
            self._settled(tally, each, unverified(tally, each, reason, batch.job))

    def _settled(self, tally: Tally, recorded: Recorded, verdicts: list[FileVerdict]) -> None:
        with self._changed:
            self._done += 1
            self._work_done += recorded.seconds + _COST
            tally.told(recorded.id, verdicts)

    def _tell(self, verdict: FileVerdict | StepVerdict | CommitVerdict) -> None:
        with self._changed:
            match verdict:
                case FileVerdict():
                    self._news.files.append(verdict)
                case StepVerdict():
                    self._news.steps.append(verdict)
                case CommitVerdict():
                    self._news.commits.append(verdict)
            self._changed.notify_all()
