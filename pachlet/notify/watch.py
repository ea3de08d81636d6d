"""Watch for job sets that break, and have each told once.

Two eyes see them. SubscribeJob of each pipeline says at once when a job is over; and every so often the list of jobs
is gone through from where the last look left off, which finds what happened while nobody watched, new pipelines, and
whatever a subscription missed. A set is told when it is over, or when its first failure has waited long enough: one
letter holds all that broke. What could not be delivered is tried again, later and later, and is never given up.

Read next: memory.py, broken.py.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from time import monotonic

from pachlet.client import names
from pachlet.client.connection import Connection, Message
from pachlet.client.jobs import inspect_job, inspect_jobset, is_terminal, list_job, subscribe_job
from pachlet.client.pipelines import list_pipeline
from pachlet.errors import NotFound, PachletError, Unavailable
from pachlet.notify.broken import describe
from pachlet.notify.channels import Channel, NotDelivered
from pachlet.notify.letter import Letter, letter_about
from pachlet.notify.memory import Memory
from pachlet.notify.stopped import broken_jobs

MOST_SUBSCRIPTIONS = 48
"""Each takes up to two calls that wait, of which a server has few; further pipelines are seen by the other eye."""
_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 600.0
"""Seconds before a letter that was not delivered is tried again: the first time, and at most."""
_ALL_VERSIONS = -1


@dataclass(frozen=True)
class Wanted:
    """Which jobs are told of, and how."""

    pipelines: Sequence[str] = ("*",)
    """Patterns over `project/pipeline`."""
    link: str = ""
    patience: float = 60.0
    """Seconds that a failure may wait for the rest of its set."""
    every: float = 30.0
    """Seconds between two looks at the list of jobs."""

    def holds_for(self, info: Message) -> bool:
        """Tell whether a job's pipeline is one of those."""
        name = names.show_pipeline(info.job.pipeline)
        return any(fnmatchcase(name, pattern) for pattern in self.pipelines)


@dataclass
class _Pending:
    """A broken set that is not told yet."""

    due: float
    tries: int = 0


class Watcher:
    """Looks at one server, and tells by its channels what its memory does not know."""

    def __init__(
        self,
        connection: Connection,
        memory: Memory,
        channels: Sequence[Channel],
        wanted: Wanted,
        say: Callable[[str], None],
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._connection = connection
        self._memory = memory
        self._channels = channels
        self._wanted = wanted
        self._say = say
        self._now = now
        self._pending: dict[str, _Pending] = {}
        self.told = 0
        """Letters that were delivered."""
        self._ended: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._subscribed: set[str] = set()

    def run(self) -> None:
        """Watch until `stop` is called."""
        pause = 0.0
        while True:
            try:
                self._subscribe()
                self.look()
                pause = 0.0
                if not self._attend(self._now() + self._wanted.every):
                    return
            except Unavailable as error:
                if not pause:
                    self._say(f"{error.message}; it is tried again until it answers")
                pause = min(max(2 * pause, 1.0), self._wanted.every)
                with suppress(queue.Empty):
                    if self._ended.get(timeout=pause) is None:
                        return

    def stop(self) -> None:
        """End `run`; from any thread."""
        self._ended.put(None)

    def look(self) -> bool:
        """Go through the jobs since the last look; return whether all that was to be told is delivered."""
        if self._memory.since is None:
            self._begin()
        since = self._memory.since or 0
        sets = self._jobs(since)
        for id, infos in reversed(sets.items()):
            self._judge(id, infos)
        self._tell_due()
        waiting = [infos for id, infos in sets.items() if id in self._pending or not _is_over(infos)]
        newest = max((_created(each) for infos in sets.values() for each in infos), default=since)
        self._memory.advance(_oldest(waiting, newest), set(sets))
        return not any(each.tries for each in self._pending.values())

    @property
    def going(self) -> int:
        """Broken sets that are not told yet: they are not over, or not delivered."""
        return len(self._pending)

    def _begin(self) -> None:
        """At the first look ever, be done with every job set that is over: only what comes is told."""
        sets = self._jobs(0)
        newest = max((_created(each) for infos in sets.values() for each in infos), default=-1)
        since = _oldest([infos for infos in sets.values() if not _is_over(infos)], newest + 1)
        self._memory.advance(since, set())
        for id, infos in sets.items():
            if _is_over(infos) and max(_created(each) for each in infos) >= since:
                for channel in self._channels:
                    self._memory.add(id, channel.name)

    def _jobs(self, since: int) -> dict[str, list[Message]]:
        """Return the jobs that were created at a time or after it by their sets, newest set first."""
        sets: dict[str, list[Message]] = {}
        for info in list_job(self._connection, history=_ALL_VERSIONS, details=False, all_projects=True):
            if _created(info) < since:
                break
            sets.setdefault(info.job.id, []).append(info)
        return sets

    def _judge(self, id: str, infos: Sequence[Message]) -> None:
        """Note a set as one to be told, if it is broken and not told yet."""
        if all(self._memory.has(id, each.name) for each in self._channels):
            return
        if not any(self._wanted.holds_for(each) for each in broken_jobs(self._connection, infos)):
            return
        now = self._now()
        pending = self._pending.setdefault(id, _Pending(now + self._wanted.patience))
        if _is_over(infos) and not pending.tries:
            pending.due = now

    def _tell_due(self) -> None:
        for id, pending in list(self._pending.items()):
            if pending.due <= self._now():
                self._tell(id, pending)

    def _tell(self, id: str, pending: _Pending) -> None:
        broken = describe(self._connection, id, list(inspect_jobset(self._connection, id)))
        if broken is None:  # deleted or squashed meanwhile
            del self._pending[id]
            return
        letter = letter_about(broken, self._wanted.link)
        if self._deliver(letter):
            del self._pending[id]
            return
        pending.tries += 1
        pending.due = self._now() + min(_FIRST_PAUSE * 2 ** (pending.tries - 1), _LONGEST_PAUSE)

    def _deliver(self, letter: Letter) -> bool:
        """Send a letter by each channel that has not delivered it; return whether all have now."""
        is_done = True
        for channel in self._channels:
            if self._memory.has(letter.id, channel.name):
                continue
            try:
                channel.send(letter)
            except NotDelivered as error:
                self._say(f"job set {letter.id} is not told yet: {error.message}")
                is_done = False
            else:
                self._memory.add(letter.id, channel.name)
                self.told += 1
                self._say(f"told by {channel.name}: {letter.subject}")
        return is_done

    def _attend(self, until: float) -> bool:
        """Attend to jobs as they end, until a time; return False when told to stop."""
        while (now := self._now()) < until:
            due = min((each.due for each in self._pending.values()), default=until)
            try:
                id = self._ended.get(timeout=max(0.0, min(due, until) - now))
            except queue.Empty:
                id = ""
            if id is None:
                return False
            if id:
                self._judge(id, list(inspect_jobset(self._connection, id)))
            self._tell_due()
        return True

    def _subscribe(self) -> None:
        """Follow the pipelines that are not followed yet."""
        for info in list_pipeline(self._connection, all_projects=True):
            name = names.show_pipeline(info.pipeline)
            if name in self._subscribed or len(self._subscribed) >= MOST_SUBSCRIPTIONS:
                continue
            self._subscribed.add(name)
            threading.Thread(target=self._follow, args=(name,), daemon=True).start()

    def _follow(self, pipeline: str) -> None:
        """Pass on each job of a pipeline when it is over, in a thread of its own, until the server ends it."""
        try:
            for info in subscribe_job(self._connection, pipeline):
                with suppress(NotFound):  # deleted while it ran
                    inspect_job(self._connection, names.show_job(info.job), wait=True, details=False)
                self._ended.put(info.job.id)
        except (PachletError, ValueError):  # the server or the pipeline is gone, or the connection was closed
            pass
        finally:
            self._subscribed.discard(pipeline)


def _created(info: Message) -> int:
    return int(info.created.seconds * 1_000_000_000 + info.created.nanos)


def _oldest(sets: Sequence[Sequence[Message]], otherwise: int) -> int:
    return min((_created(each) for infos in sets for each in infos), default=otherwise)


def _is_over(infos: Sequence[Message]) -> bool:
    return all(is_terminal(each) for each in infos)
