"""Give a session a folder that lies in memory (transform.memory_volume).

It is made in /dev/shm, named by the server's process, so that the next server removes what a killed one left: what
lies there would fill the memory until the machine is switched off.

Read next: session.py (who removes it), attempts.py (what lies in it).
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from pachlet.errors import FailedPrecondition
from pachlet.worker.scratch import remove

_MEMORY = Path("/dev/shm")
_NAME = "pachlet-volume"


def make_volume() -> Path:
    """Make an empty folder in memory.

    Raises:
        FailedPrecondition: this machine has no file system in memory for us.
    """
    _remove_abandoned()
    try:
        return Path(tempfile.mkdtemp(prefix=f"{_NAME}-{os.getpid()}-", dir=_MEMORY))
    except OSError as problem:
        raise FailedPrecondition(
            f"transform.memory_volume needs {_MEMORY}, which can't be used here: {problem.strerror}",
            hint="leave memory_volume out: the scratch is then on disk",
        ) from None


def _remove_abandoned() -> None:
    """Remove what servers of this user left that were killed."""
    for folder in _MEMORY.glob(f"{_NAME}-*"):
        pid = folder.name.removeprefix(f"{_NAME}-").partition("-")[0]
        with contextlib.suppress(FileNotFoundError):  # another server may remove it, too
            if folder.stat().st_uid == os.geteuid() and pid.isdigit() and not Path("/proc", pid).exists():
                remove(folder)
