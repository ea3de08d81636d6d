"""Show how far something is: redrawn in place on a terminal, plain lines elsewhere.

One object serves put, wait, apply, gc, backup and backfill, so that they look alike. Without a terminal a line is
written when something has happened (a job began or ended) and, so that nothing is silent for long, when nothing was
written for a while: after two seconds first, then more and more rarely, so that logs stay short.

Read next: pachlet/client/watch.py (who reports jobs), events.py (the same for programs).
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from pachlet.cli.output import human_duration, size
from pachlet.client.connection import Message
from pachlet.client.jobs import TERMINAL, state_of

_REDRAW = 0.1  # seconds; more often is only flicker
_WIDTH = 20  # cells of a bar
_SURE = 1.0  # seconds; what the rate will be is a guess before
SILENT = 2.0
"""Seconds; what takes longer is told."""
_RAREST = 30.0  # seconds between two lines that only say how far it is
_WAITS = "waiting"


class Progress:
    """The display of one run."""

    def __init__(
        self,
        out: TextIO,
        *,
        live: bool,
        colour: bool = False,
        clock: Callable[[], float] = time.monotonic,
        lines: int | None = None,
        patience: float = SILENT,
    ) -> None:
        self._out = out
        self.live = live
        self._colour = colour
        self._clock = clock
        self._lines = lines
        self.patience = patience
        self._lock = threading.Lock()
        self._drawn = 0
        self._drawn_at = float("-inf")
        self._began = clock()
        self._told: dict[tuple[str, str, str], str] = {}
        self._told_at = self._began
        self._pause = SILENT
        self._waits: dict[tuple[str, str, str], tuple[str, float | None]] = {}
        self._is_waiting = 0  # how often at the same time
        self._is_used = False  # by a verb that knows better what it waits for than a call does

    def line(self, text: str) -> None:
        """Say something that stays."""
        with self._lock:
            self._erase()
            self._out.write(text + "\n")
            self._out.flush()
            self._told_at = self._clock()

    def step(self, text: str) -> None:
        """Show what is going on right now; where the display is not live, now and then."""
        self._is_used = True
        if self.live:
            self._draw(lambda: [text], final=False)
        elif self._is_due():
            self.line(text)

    def _is_due(self) -> bool:
        """Tell whether nothing was said for a while; then it has to be said, and may be silent for longer."""
        if self._clock() - self._told_at < self._pause:
            return False
        self._pause = min(self._pause * 1.5, _RAREST)
        return True

    @contextmanager
    def waiting(self, what: str | Callable[[], str]) -> Iterator[None]:
        """Say what is waited for while the block lasts, once it has lasted longer than anybody likes to wonder.

        It is redrawn each second where the display is live; elsewhere it is a line now and then, ever more seldom.
        """
        self._is_used = True
        self._is_waiting += 1
        try:
            with self._while_waiting(what, lambda: True):
                yield
        finally:
            self._is_waiting -= 1

    @contextmanager
    def calling(self, server: str) -> Iterator[None]:
        """The same for a call to a server, as long as the verb itself shows nothing."""
        began = self._clock()

        def is_wanted() -> bool:
            if self._is_waiting:
                return False
            if not self._is_used:
                return True
            shown_at = max(self._told_at, self._drawn_at)
            return shown_at <= began and self._clock() - began > 1.5 * self.patience

        with self._while_waiting(f"waiting for {server}", is_wanted):
            yield

    @contextmanager
    def _while_waiting(self, what: str | Callable[[], str], is_wanted: Callable[[], bool]) -> Iterator[None]:
        over = threading.Event()
        began = self._clock()

        def tell() -> None:
            pause = self.patience
            while not over.wait(pause):
                if not is_wanted():
                    continue
                self._tell_wait(what() if callable(what) else what, self._clock() - began)
                pause = 1.0 if self.live else min(pause * 2, _RAREST)

        teller = threading.Thread(target=tell, daemon=True)
        teller.start()
        try:
            yield
        finally:
            over.set()
            teller.join(_SURE)  # it may be asking a server that does not answer
            if self.live:
                self.close()

    def _tell_wait(self, what: str, seconds: float) -> None:
        text = f"{what}, {human_duration(seconds).lower()}"
        if self.live:
            self._draw(lambda: [text], final=False)
        else:
            self.line(text)

    def bytes(self, what: str, total: int | Callable[[], int | None] | None = None) -> Callable[[int], None]:
        """Return a function to be told of bytes as they pass; it may be called from any thread.

        The total may be a function, for one that is found out on the way.
        """
        self._is_used = True
        done = 0
        began = self._clock()

        def advance(count: int) -> None:
            nonlocal done
            done += count
            if not done:
                return
            self._tell_bytes(what, done, total if callable(total) else lambda: total, began)

        return advance

    def _tell_bytes(self, what: str, done: int, total: Callable[[], int | None], began: float) -> None:
        def line() -> str:
            return _bytes_line(what, done, total(), self._clock() - began)

        if self.live:
            self._draw(lambda: [line()], final=done == total())
        elif self._is_due():
            self.line(line())

    def jobs(self, infos: Sequence[Message]) -> None:
        """Show the state of jobs; made to be handed to the functions of client/watch.py."""
        self._is_used = True
        if self.live:
            self._draw(lambda: self._job_lines(infos), final=False)
            return
        for info in infos:
            state = state_of(info)
            key = (info.job.pipeline.project.name, info.job.pipeline.name, info.job.id)
            # A job that was over before anybody looked is part of the result, not news.
            is_waiting = _word(info) == _WAITS
            if self._told.get(key) != state and (
                state in TERMINAL or (state == "JOB_RUNNING" and not is_waiting)
            ):
                self._told[key] = state
                self.line(_plain_line(info))
            elif is_waiting and self._is_stuck(key, info.reason):
                self.line(_plain_line(info))
        if any(state_of(info) not in TERMINAL for info in infos) and self._is_due():
            self.line(self._summary(infos))

    def _is_stuck(self, key: tuple[str, str, str], reason: str) -> bool:
        """Tell, once, that a job waits for something and not just for another job."""
        if not reason or reason.startswith("waiting for job "):
            return False
        before, since = self._waits.get(key, ("", None))
        if before != reason:
            self._waits[key] = (reason, self._clock())
        elif since is not None and self._clock() - since >= SILENT:
            self._waits[key] = (reason, None)  # told
            return True
        return False

    def close(self) -> None:
        """Take the live part off the terminal; what stays is what line() wrote."""
        with self._lock:
            self._erase()
            self._out.flush()

    def _job_lines(self, infos: Sequence[Message]) -> list[str]:
        room = self._lines or max(shutil.get_terminal_size().lines - 2, 3)
        width = max((len(info.job.pipeline.name) for info in infos), default=0)
        shown = sorted(infos, key=lambda info: state_of(info) in TERMINAL) if len(infos) > room else infos
        lines = [self._live_line(info, width) for info in shown[:room]]
        return [*lines, self._summary(infos)]

    def _summary(self, infos: Sequence[Message]) -> str:
        over = sum(state_of(info) in TERMINAL for info in infos)
        elapsed = human_duration(self._clock() - self._began).lower()
        going = [] if self.live else [info for info in infos if state_of(info) == "JOB_RUNNING"]
        datums = "".join(f"; {info.job.pipeline.name}: {_so_far(info)}" for info in going)
        return f"{over} of {len(infos)} jobs over, after {elapsed}{datums}"

    def _live_line(self, info: Message, width: int) -> str:
        filled = _WIDTH * _done(info) // info.data_total if info.data_total else 0
        bar = "▇" * filled + "░" * (_WIDTH - filled)
        reason = f": {_waited(info)}" if state_of(info) not in TERMINAL and info.reason else ""
        return f"{info.job.pipeline.name:<{width}} {bar} {_counts(info)}  {self._state(info)}{reason}"

    def _state(self, info: Message) -> str:
        state = state_of(info)
        word = _word(info)
        if not self._colour:
            return word
        colour = 32 if state == "JOB_SUCCESS" else 31 if state in TERMINAL else 33
        return f"\x1b[{colour}m{word}\x1b[0m"

    def _draw(self, make: Callable[[], list[str]], *, final: bool) -> None:
        with self._lock:
            now = self._clock()
            if now - self._drawn_at < _REDRAW and not final:
                return
            self._drawn_at = now
            lines = make()
            self._erase()
            columns = shutil.get_terminal_size().columns
            # A line that wraps would count as one when it is erased; colours take up no columns.
            self._out.write("".join(f"{_cut(line, columns)}\n" for line in lines))
            self._out.flush()
            self._drawn = len(lines)

    def _erase(self) -> None:
        if self._drawn:
            self._out.write(f"\x1b[{self._drawn}A\x1b[J")
            self._drawn = 0


def _plain_line(info: Message) -> str:
    state = state_of(info)
    reason = f": {_waited(info)}" if info.reason else ""
    counts = f" ({_counts(info)})" if state in TERMINAL else ""
    return f"{info.job.pipeline.project.name}/{info.job.pipeline.name}: {_word(info)}{reason}{counts}"


def _waited(info: Message) -> str:
    """Return the reason without the word that stands before it."""
    return str(info.reason).removeprefix(f"{_WAITS} ") if _word(info) == _WAITS else str(info.reason)


def _done(info: Message) -> int:
    return int(info.data_processed + info.data_skipped + info.data_failed + info.data_recovered)


def _so_far(info: Message) -> str:
    """Return how many of a running job's datums are done, or what is done until they are known."""
    if info.reason and not info.data_total:
        return str(info.reason)
    return f"{_done(info)} of {info.data_total} datums"


def _counts(info: Message) -> str:
    parts = [f"processed {info.data_processed}", f"skipped {info.data_skipped}", f"failed {info.data_failed}"]
    if info.data_recovered:
        parts.append(f"recovered {info.data_recovered}")
    return f"{', '.join(parts)} of {info.data_total}"


def _word(info: Message) -> str:
    """Say what a job does; one that runs may be waiting, too: it has begun, and no worker is free for the rest."""
    state = state_of(info)
    is_waiting = state not in TERMINAL and info.reason.startswith(f"{_WAITS} ")
    if is_waiting or state in ("JOB_CREATED", "JOB_STARTING"):
        return _WAITS
    return state.removeprefix("JOB_").lower()


def _bytes_line(what: str, done: int, total: int | None, seconds: float) -> str:
    rate = f", {size(done / seconds)}/s" if seconds > 0.5 else ""
    if not total:
        return f"{what} {size(done)}{rate}"
    filled = min(_WIDTH * done // total, _WIDTH)
    left = ""
    if seconds > _SURE and 0 < done < total:
        left = f", {human_duration(seconds * (total - done) / done).lower()} left"
    return f"{what} {'▇' * filled}{'░' * (_WIDTH - filled)} {size(done)} of {size(total)}{rate}{left}"


def _cut(line: str, columns: int) -> str:
    return line if len(line) < columns or "\x1b" in line else line[: columns - 1]
