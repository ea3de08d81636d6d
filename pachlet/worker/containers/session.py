"""A worker whose attempts run in a container.

Unlike the process runner's, the environment begins with the image's (the engine sees to that), and users and folders
are those of the image.

Read next: ../session.py (all that is common to workers), launcher.py.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from pachlet.worker.attempts import Place
from pachlet.worker.containers.attempt import ContainerAttempt
from pachlet.worker.containers.launcher import ContainerLauncher
from pachlet.worker.interface import Outcome
from pachlet.worker.processes import Doors
from pachlet.worker.session import AttemptSession


class ContainerSession(AttemptSession):
    """The Session of a ContainerRunner (../interface.py has the promises)."""

    def __init__(self, place: Place, launcher: ContainerLauncher) -> None:
        super().__init__(place)
        self._launcher = launcher

    def locate(self, path: str) -> str | None:
        """Find only what is this machine's: what else the step sees is the image's, whatever lies here by that name."""
        place = self._place
        ours = {"/pfs": place.pfs, "/tmp": place.tmp, **place.shown}
        for shown in sorted(ours, key=len, reverse=True):
            if path == shown or path.startswith(f"{shown}/"):
                return f"{ours[shown]}{path[len(shown) :]}"
        return None

    def attach(self, cmd: Sequence[str], environ: Mapping[str, str]) -> Outcome:
        """Run another command than the transform's on the datum that lies in `pfs`, on the caller's own terminal.

        Raises:
            FailedPrecondition: the image has no shell, or the engine no command line.
        """
        self._place.write_env_file(self._place.datum_environ(environ))
        began = time.monotonic()
        with self._attempt():
            code = self._launcher.attach(list(cmd), self._cwd, self._environ(environ))
        reason = f"exit status {code}" if code else ""
        return Outcome(not code, reason, code, time.monotonic() - began, self._launcher.memory.peak())

    @property
    def _cwd(self) -> str:
        return str(Path("/", self._place.transform.working_dir or self._place.prepared.working_dir))

    def _environ(self, environ: Mapping[str, str]) -> dict[str, str]:
        return {**self._place.datum_environ(environ), **self._place.transform.secrets.environ}

    def _begin(
        self, cmd: Sequence[str], stdin: str | None, environ: Mapping[str, str], doors: Doors
    ) -> ContainerAttempt:
        attempt = self._launcher.start(list(cmd), self._cwd, self._environ(environ), stdin, doors)
        self._meter = self._launcher.memory
        return attempt

    def _release(self) -> None:
        self._launcher.close()
