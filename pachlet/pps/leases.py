"""The lease table: which datums are to be run, who runs which of them now, and who is next.

It lives in memory. After a restart every token is void, and what is left to do follows from what is recorded; so the
table needs no recovery, and what was recorded is never run again. A datum is in one of four places: to do, in the
hands of one lease, being recorded, or recorded. Only a live lease moves it from its hands to being recorded, once;
that makes "exactly once" of a worker that comes too late, or tells the same thing twice.

Workers are few and jobs may be many, so the one that has the fewest workers is served first, and of those the one
that has waited longest. A pipeline of slow datums then has what the others leave over.

Who may take leases: whoever reaches the server, which listens on this machine's loopback alone. Once it listens to
others, a worker will have to show a token that the server made for it, as a cluster's workers do with PACH_TOKEN.

A worker of another process that does not renew its lease is lost. What it had goes to another; but a datum that was in
hand when worker after worker was lost is likely what they were lost by, so it is given up in the end (losing.py).

Read next: ../worker/head.py (what is promised), recording.py (how datums are recorded),
docs/workers.md.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pachlet.clock import Clock
from pachlet.metadb.changes import Closed
from pachlet.pps.alarms import Alarms
from pachlet.pps.datum_folder import Found
from pachlet.pps.job_inputs import JobInputs
from pachlet.pps.jobs import JobRecord
from pachlet.pps.logbook import AttemptLog, Source
from pachlet.pps.pipelines import PipelineRecord
from pachlet.pps.planning import PlannedDatum
from pachlet.worker.head import Hold, LeaseLost, NoMoreWork, Output, Result, Work
from pachlet.worker.interface import Prepared

_NANOS = 1_000_000_000
SLICE = 0.25
"""Seconds that a worker stays with a job, when datums are short, before it looks whether others wait."""
MOST_LOST = 3
"""So many workers may be lost with a datum in hand before it is given up, or as many as its tries if they are more."""


class Proof(Protocol):
    """Takes what comes of datums that are run to compare it with what is stored; of them nothing is recorded."""

    def settle(
        self,
        planned: PlannedDatum,
        result: Result,
        inputs: Sequence[Found],
        outputs: Sequence[tuple[str, Output]],
    ) -> None:
        """Take how a datum ended, and what it wrote; called by the worker that ran it.

        Raises:
            Refused: a file can't be read any more, or is none now.
        """


@dataclass(frozen=True)
class SharedFacts:
    """What the records of those datums of a job have in common that ran on the same (datum_records.py)."""

    provenance: Mapping[str, Any]
    code: str
    """What decides results besides the files (skipping.py: code_of)."""
    job: str
    """Which job it is, as the text of a part of the record."""
    image: str
    """The same of the code that ran."""
    packages: bytes
    """The list of the environment's packages, `name==version` a line; empty if there is none.

    All datums of an environment have the same list, so it is stored once, however many files show it.
    """


_MOST_SHARED = 8


@dataclass(eq=False)
class Offer:
    """What is left to do of a job, or to be proved of it."""

    job: JobRecord
    """Its key tells the offer from all others; that of a proof is below zero."""
    pipeline: PipelineRecord
    work: Work
    prepared: Prepared
    inputs: JobInputs
    sets: deque[list[PlannedDatum]]
    """The datum sets that nobody has."""
    limit: int
    """How many workers it may have."""
    done: Callable[[], None]
    """Called once all is recorded."""
    failed: Callable[[Exception], None]
    """Called once if it can't go on; nothing is recorded after that."""
    memory: int = 0
    """Bytes that one worker asks for."""
    proof: Proof | None = None
    """Where the datums go instead of being recorded. Jobs go before proofs, and only the server's own workers have
    those: what they give is to be compared on the machine whose store it is compared with."""
    left: int = 0
    """How many datums are not recorded."""
    workers: int = 0
    refused_by: dict[str, str] = field(default_factory=dict)
    """Workers that can't run it, and why."""
    served: int = 0
    """When a worker last turned to it, counted in such events."""
    shared: deque[SharedFacts] = field(default_factory=lambda: deque(maxlen=_MOST_SHARED))
    """What the records of its datums have in common, by what a worker says that it ran them on."""
    is_for_companions: bool = True
    """False once one of them was lost with it: what it had not told may be what it was lost by."""
    lost: Counter[str] = field(default_factory=Counter)
    """How many workers were lost with a datum in hand, by its id."""

    def __post_init__(self) -> None:
        self.left = sum(map(len, self.sets))

    @property
    def wants_workers(self) -> bool:
        """Tell whether one more worker would find something to do."""
        return bool(self.sets) and self.workers < self.limit

    @property
    def source(self) -> Source:
        """Whose log lines those about it are."""
        return Source(self.job.pipeline, self.job.id)


@dataclass(eq=False)
class Held:
    """A lease that is in somebody's hands."""

    token: str
    offer: Offer
    worker: str
    todo: dict[str, PlannedDatum]
    """What is not settled, by id."""
    seconds: float | None
    deadline: int | None
    """By the engine's clock; None for a worker that dies with the server."""
    began: float = field(default_factory=time.monotonic)
    in_hand: str = ""
    begun: dict[str, int] = field(default_factory=dict)
    """When each datum that is not settled was first begun, by the engine's clock."""
    hold: Hold | None = None
    restarts: set[str] = field(default_factory=set)
    """Datums to begin anew, for a worker that asks."""
    inputs: tuple[str, list[Found]] = ("", [])
    """The files of the datum in hand, with its id."""
    printed: AttemptLog | None = None
    """What the user's code prints now, for a worker that sends it."""


@dataclass(frozen=True)
class Loss:
    """A worker that was lost with a datum in hand."""

    held: Held
    planned: PlannedDatum
    times: int
    """So many were by now with this datum."""
    is_given_up: bool
    """Whether nobody gets the datum any more; whoever is told records how it ended."""
    started: int
    finished: int
    """When it was begun under the lease, and when the loss was seen, by the engine's clock."""


@dataclass(frozen=True)
class Wait:
    """What a job that no worker has waits for."""

    memory: int
    """Bytes that one worker of it asks for."""
    free: int
    """Bytes that nobody has asked for."""
    busy: list[str]
    """What each worker that works is at: project/name of a pipeline."""
    idle: int
    """How many workers wait for work."""
    refusal: str
    """Why the last worker that was asked can't run it; empty if none has said so."""


@dataclass(frozen=True)
class Renewal:
    """What a worker is told when it says that it is still there."""

    restarts: list[str]
    should_yield: bool


class Leases:
    """Every offer and every lease; safe from any thread."""

    def __init__(self, clock: Clock, alarms: Alarms, memory: int) -> None:
        """Give leases out by this clock, as many as this memory holds of what their pipelines ask for."""
        self._clock = clock
        self._alarms = alarms
        self._is_watching = False  # whether an alarm will go off that looks for lost workers
        self.when_lost: Callable[[Loss], None] = lambda loss: None
        self._memory = memory
        self._changed = threading.Condition()
        self._offers: dict[int, Offer] = {}
        self._held: dict[str, Held] = {}
        self._waiting = 0
        self._served = 0
        self._closed = False

    def offer(self, offer: Offer) -> None:
        """Let workers have the datums of a job."""
        with self._changed:
            if self._closed:
                raise Closed
            self._offers[offer.job.key] = offer
            self._changed.notify_all()

    def wait_for_offers(self, number: int) -> None:
        """Return when there are so many offers (tests wait for it)."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._offers) >= number)

    def withdraw(self, job: int, reason: str) -> None:
        """End all work on a job: it was ended, or can't go on.

        A worker that has settled all it had is left alone, so that its warm session may serve the next job.
        """
        with self._changed:
            self._offers.pop(job, None)
            ended = [each for each in self._held.values() if each.offer.job.key == job and each.todo]
            for each in ended:
                del self._held[each.token]
            self._changed.notify_all()
        for each in ended:
            if each.hold is not None:
                each.hold.cancel(reason)

    def close(self) -> None:
        """Give out no more leases: every worker that waits for one gets NoMoreWork."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def take(
        self,
        worker: str,
        patience: float,
        *,
        seconds: float | None = None,
        refuses: Callable[[Work], str] = lambda work: "",
    ) -> Held | None:
        """Give a worker a datum set, waiting for one at most `patience` seconds; None if there was none.

        A lease of `seconds` has to be renewed before they are over; without, it lives as long as its worker. `refuses`
        says why the worker can't do some work.
        """
        until = time.monotonic() + patience
        with self._changed:
            while not self._closed:
                self._expire()
                if (offer := self._next(worker, refuses, is_own=seconds is None)) is not None:
                    return self._give(offer, worker, seconds)
                left = until - time.monotonic()
                if left <= 0:
                    return None
                self._waiting += 1
                try:
                    self._changed.wait(left)
                finally:
                    self._waiting -= 1
            raise NoMoreWork

    def wait_of(self, job: int) -> Wait | None:
        """Return what a job waits for; None if a worker has it, or it has nothing for one."""
        with self._changed:
            self._expire()
            offer = self._offers.get(job)
            if offer is None or offer.workers or not offer.sets:
                return None
            busy = [
                f"{each.offer.pipeline.project}/{each.offer.pipeline.name}" for each in self._held.values()
            ]
            refusal = next((f"{who} can't: {why}" for who, why in reversed(offer.refused_by.items())), "")
            return Wait(offer.memory, self._free(), busy, self._waiting, refusal)

    def _free(self) -> int:
        """Return how much memory the server's own workers leave, by what was asked for."""
        return self._memory - sum(each.offer.memory for each in self._held.values() if each.seconds is None)

    def hold(self, token: str, hold: Hold) -> None:
        """Remember whom to tell when a lease is void."""
        with self._changed:
            held = self._held.get(token)
            if held is not None:
                held.hold = hold
        if held is None:
            hold.cancel("the lease is void")

    def begin(self, token: str, datum: str, ago: float = 0.0) -> tuple[Held, PlannedDatum]:
        """Note that a datum of a lease is begun, or was some seconds ago; return it."""
        with self._changed:
            held, planned = self._find(token, datum)
            held.in_hand = datum
            held.begun.setdefault(datum, self._clock.now() - int(ago * _NANOS))
            return held, planned

    def find(self, token: str, datum: str) -> tuple[Held, PlannedDatum]:
        """Return a lease and a datum that is not settled under it; raise LeaseLost."""
        with self._changed:
            return self._find(token, datum)

    def claim(self, token: str, datum: str, ago: float = 0.0) -> tuple[int, int]:
        """Take a datum out of the hands of a live lease to record it; nobody else can from then on.

        Return when it was first begun under the lease, and when it ended: now, or some seconds ago.

        Raises:
            LeaseLost: the lease is void, or the datum is settled under it already.
        """
        with self._changed:
            held, _ = self._find(token, datum)
            del held.todo[datum]
            if held.in_hand == datum:
                held.in_hand = ""
            ended = self._clock.now() - int(ago * _NANOS)
            return held.begun.pop(datum, ended), ended

    def recorded(self, offer: Offer, number: int) -> None:
        """Note that so many more datums of an offer are recorded."""
        with self._changed:
            offer.left -= number
            is_done = not offer.left and self._offers.get(offer.job.key) is offer
            if is_done:
                del self._offers[offer.job.key]
        if is_done:
            offer.done()

    def fail(self, offer: Offer, problem: Exception) -> None:
        """Give up an offer that can't go on."""
        with self._changed:
            is_first = self._offers.get(offer.job.key) is offer
        self.withdraw(offer.job.key, "the job failed")
        if is_first:
            offer.failed(problem)

    def renew(self, token: str) -> Renewal:
        """Let a lease live on; raise LeaseLost if it does not live any more."""
        with self._changed:
            held = self._live(token)
            if held.seconds is not None:
                held.deadline = self._clock.now() + int(held.seconds * _NANOS)
            restarts = sorted(held.restarts)
            held.restarts.clear()
            return Renewal(restarts, self._should_yield(held))

    def should_yield(self, token: str) -> bool:
        """Tell whether a worker better gives back the rest of its lease, because others have none."""
        with self._changed:
            held = self._held.get(token)
            return held is None or self._should_yield(held)

    def get(self, token: str) -> Held:
        """Return a lease that lives; raise LeaseLost."""
        with self._changed:
            return self._live(token)

    def give_back(self, token: str, *, refusal: str = "") -> None:
        """End a lease; what is not settled of it is to do again. Void ones are ended already.

        A worker that says with `refusal` why it can't run it gets no more of the same job.
        """
        with self._changed:
            held = self._held.pop(token, None)
            if held is not None:
                if refusal:
                    held.offer.refused_by[held.worker] = refusal
                self._put_back(held)

    def restart(self, job: int, matches: Callable[[PlannedDatum], bool]) -> bool:
        """Have the datums of a job that are in hand and match begun anew; tell whether there was any."""
        with self._changed:
            found = [
                (each, each.in_hand)
                for each in self._held.values()
                if each.offer.job.key == job and each.in_hand and matches(each.todo[each.in_hand])
            ]
            for held, datum in found:
                if held.hold is None:
                    held.restarts.add(datum)
        for held, datum in found:
            if held.hold is not None:
                held.hold.restart(datum, "it is begun anew")
        return bool(found)

    def _find(self, token: str, datum: str) -> tuple[Held, PlannedDatum]:
        held = self._live(token)
        planned = held.todo.get(datum)
        if planned is None:
            raise LeaseLost(
                f"datum {datum} is not to be settled under lease {token}: it was, or it never was"
            )
        return held, planned

    def _live(self, token: str) -> Held:
        self._expire()
        held = self._held.get(token)
        if held is None:
            raise LeaseLost(
                f"lease {token} is void: it was not renewed in time, its job has ended, or the server was restarted",
                hint="take a new lease; what was not settled under this one is run again",
            )
        return held

    def _next(self, worker: str, refuses: Callable[[Work], str], *, is_own: bool) -> Offer | None:
        fit = []
        for each in self._offers.values():
            if each.wants_workers and worker not in each.refused_by and (is_own or each.proof is None):
                if why := refuses(each.work):
                    each.refused_by[worker] = why
                else:
                    fit.append(each)
        free = self._free() if is_own else self._memory
        first = min(fit, key=_turn, default=None)
        if first is None or first.memory <= free:
            return first
        # Whoever asks for some waits behind it, so that its turn comes.
        return min((each for each in fit if not each.memory), key=_turn, default=None)

    def _give(self, offer: Offer, worker: str, seconds: float | None) -> Held:
        todo = {each.datum.id: each for each in offer.sets.popleft()}
        deadline = None if seconds is None else self._clock.now() + int(seconds * _NANOS)
        held = Held(secrets.token_hex(16), offer, worker, todo, seconds, deadline)
        self._held[held.token] = held
        offer.workers += 1
        self._served += 1
        offer.served = self._served
        self._watch()
        return held

    def _put_back(self, held: Held) -> None:
        held.offer.workers -= 1
        if held.todo:
            held.offer.sets.appendleft(list(held.todo.values()))
        if held.offer.wants_workers:
            self._changed.notify_all()

    def _should_yield(self, held: Held) -> bool:
        if self._waiting or time.monotonic() - held.began < SLICE:
            return False
        return any(each.wants_workers and _goes_before(each, held.offer) for each in self._offers.values())

    def _expire(self) -> None:
        """End the leases whose time is over."""
        if any(each.deadline is not None for each in self._held.values()):
            now = self._clock.now()
            for each in list(self._held.values()):
                if each.deadline is not None and each.deadline < now:
                    del self._held[each.token]
                    self._count_loss(each)
                    self._put_back(each)

    def _count_loss(self, held: Held) -> None:
        planned = held.todo.get(held.in_hand)
        if planned is None:
            return
        lost = held.offer.lost
        lost[held.in_hand] += 1
        times = lost[held.in_hand]
        is_given_up = times >= max(MOST_LOST, held.offer.work.tries)
        if is_given_up:
            del held.todo[held.in_hand]
        now = self._clock.now()
        self.when_lost(Loss(held, planned, times, is_given_up, held.begun.get(held.in_hand, now), now))

    def _watch(self) -> None:
        """Have an alarm go off when the next worker may be lost, also if no other asks for work then."""
        deadlines = [each.deadline for each in self._held.values() if each.deadline is not None]
        if deadlines and not self._is_watching:
            self._is_watching = True
            self._alarms.at(min(deadlines) + 1, self._look_for_lost)

    def _look_for_lost(self) -> None:
        with self._changed:
            self._is_watching = False
            self._expire()
            self._watch()


def _goes_before(other: Offer, mine: Offer) -> bool:
    """Tell whether a worker of one offer better turns to another."""
    if (other.proof is None) != (mine.proof is None):
        return other.proof is None
    return mine.proof is None and other is not mine and other.workers < mine.workers


def _turn(offer: Offer) -> tuple[bool, int, int]:
    """Return what sorts offers by whose turn it is; proofs one after the other, as their sessions don't stay warm."""
    if offer.proof is not None:
        return True, -offer.job.key, 0
    return False, offer.workers, offer.served
