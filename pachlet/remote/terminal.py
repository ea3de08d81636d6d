"""Let a program of a sandbox use the terminal of whoever runs us.

The program gets a terminal of its own, and what passes between the two is handed on: the user's keys as they are, so
that Ctrl-C is the program's, and the size of the window. Where we have no terminal it gets our own descriptors.

Read next: bench.py (who asks).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import termios
import threading
import tty
from collections.abc import Callable, Sequence

from pachlet.worker.interface import Outcome

Stdio = tuple[int, int, int]
Run = Callable[[Stdio, Sequence[str]], Outcome]
_BLOCK = 1 << 16


def on_terminal(run: Run, cmd: Sequence[str]) -> Outcome:
    """Run a command on the terminal; `run` gets what it reads and writes, and returns when it has ended."""
    if not (os.isatty(0) and os.isatty(1)):
        return run((0, 1, 2), cmd)
    ours, theirs = os.openpty()
    before = termios.tcgetattr(0)
    resized = signal.signal(signal.SIGWINCH, lambda *_: _fit(ours))
    ended, has_ended = os.pipe()
    results: list[Outcome | BaseException] = []

    def work() -> None:
        try:
            # The kernel sends Ctrl-C to whom a terminal belongs, and setsid makes that the program.
            results.append(run((theirs, theirs, theirs), ["setsid", "--ctty", "--wait", *cmd]))
        except BaseException as problem:
            results.append(problem)
        finally:
            os.close(has_ended)

    worker = threading.Thread(target=work)
    try:
        _fit(ours)
        tty.setraw(0, termios.TCSADRAIN)  # what was typed ahead stays
        worker.start()
        _hand_on(ours, ended)
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
        signal.signal(signal.SIGWINCH, resized)
        worker.join()
        for each in (ours, theirs, ended):
            os.close(each)
    (result,) = results
    if isinstance(result, BaseException):
        raise result
    return result


def _fit(terminal: int) -> None:
    """Make a terminal as large as ours."""
    size = fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(8))
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, size)


def _hand_on(terminal: int, ended: int) -> None:
    """Pass on what is typed and what is printed until `ended` is."""
    sources = [0, terminal, ended]
    while True:
        ready = select.select(sources, [], [])[0]
        if terminal in ready:
            with contextlib.suppress(OSError):
                os.write(1, os.read(terminal, _BLOCK))
        elif ended in ready:
            return
        if 0 in ready:
            typed = os.read(0, _BLOCK)
            if typed:
                os.write(terminal, typed)
            else:
                sources.remove(0)
