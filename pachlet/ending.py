"""Wait until this process is told to end, by SIGTERM or SIGINT.

Read next: server.py, remote/process.py (who waits).
"""

from __future__ import annotations

import os
import signal

_ENDS = (signal.SIGTERM, signal.SIGINT)


class Ending:
    """Makes SIGTERM and SIGINT end a wait, from the moment that it is made; for a process's main thread.

    A threading.Event would do but for its lock: Python runs a handler between any two steps of the main thread, so one
    that sets an Event which that thread is about to wait for waits itself, for ever, for a lock that the thread holds.
    Nor is a handler enough that writes into a pipe: the kernel may give the signal to any thread, as it does once a
    stopped process goes on, and the main thread, in the midst of its read, never comes to run the handler. So it is
    Python's own part, which runs where the signal arrives, that writes.
    """

    def __init__(self) -> None:
        self._told, tell = os.pipe()
        os.set_blocking(tell, False)
        signal.set_wakeup_fd(tell, warn_on_full_buffer=False)  # the first of a thousand signals is enough
        for number in _ENDS:
            signal.signal(number, lambda *_: None)

    def wait(self) -> None:
        """Return when the process is told to end, or at once where it has been."""
        while os.read(self._told, 1)[0] not in _ENDS:
            pass  # another signal that somebody handles
