"""One worker of the process runner: each attempt is a process that the launcher starts, in the worker's control group.

Read next: session.py (all that is common to workers), launching.py, cgroups.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pachlet.worker.attempts import Place
from pachlet.worker.cgroups import Group
from pachlet.worker.launching import Launcher
from pachlet.worker.processes import Doors, Process
from pachlet.worker.session import AttemptSession


class ProcessSession(AttemptSession):
    """The Session of a ProcessRunner (interface.py has the promises)."""

    def __init__(self, place: Place, launcher: Callable[[], Launcher]) -> None:
        super().__init__(place)
        self._launcher = launcher
        self._group: Group | None = None
        self._group_of: Launcher | None = None

    def _begin(
        self, cmd: Sequence[str], stdin: str | None, environ: Mapping[str, str], doors: Doors
    ) -> Process:
        launcher, secrets = self._launcher(), self._place.transform.secrets
        group = self._enter(launcher)
        request = self._place.request(cmd, environ, launcher.groups or ())
        is_given = bool(secrets.files or secrets.environ)
        return launcher.start(request, stdin, doors, group, secrets if is_given else None)

    def _release(self) -> None:
        if self._group is not None:
            self._group.close()
            self._group = self._meter = None

    def _enter(self, launcher: Launcher) -> Group | None:
        """Return this worker's control group, made by the launcher that runs now."""
        if self._group_of is not launcher:
            self._group_of = launcher
            self._group = launcher.groups.open(self._place.transform.limits) if launcher.groups else None
            self._meter = self._group
        if self._group is not None:
            self._group.begin()
        return self._group
