"""One worker of the process runner: each attempt is a process in a cell, in the worker's control group.

The cell of an attempt that left nothing behind serves the next one: making another takes ten times as long.

Read next: session.py (all that is common to workers), cells.py, cgroups.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from pachlet.worker.attempts import Place
from pachlet.worker.cells import Cell
from pachlet.worker.cgroups import Group
from pachlet.worker.interface import Outcome
from pachlet.worker.launching import LauncherDoor
from pachlet.worker.processes import Doors, Process, start
from pachlet.worker.session import AttemptSession


class ProcessSession(AttemptSession):
    """The Session of a ProcessRunner (interface.py has the promises)."""

    def __init__(self, place: Place, launcher: Callable[[], LauncherDoor]) -> None:
        super().__init__(place)
        self._launcher = launcher
        self._group: Group | None = None
        self._group_of: LauncherDoor | None = None
        self._cell: Cell | None = None
        self._stdio: tuple[int, int, int] | None = None

    def attach(self, cmd: Sequence[str], environ: Mapping[str, str], stdio: tuple[int, int, int]) -> Outcome:
        """Run another command than the transform's on the datum that lies in `pfs`, on the caller's own descriptors."""
        self._place.write_env_file(self._place.datum_environ(environ))
        self._stdio = stdio
        try:
            with self._attempt():
                return self._run_once(cmd, None, environ, lambda line: None, None)
        finally:
            self._stdio = None

    def _begin(
        self, cmd: Sequence[str], stdin: str | None, environ: Mapping[str, str], doors: Doors
    ) -> Process:
        command = replace(self._place.command(cmd, environ), stdio=self._stdio)
        launcher = self._launcher()
        self._enter(launcher)
        cell, self._cell = self._cell, None
        if cell is not None and not cell.is_alive():
            cell.close()
            cell = None
        return start(cell or self._open_cell(launcher), command, stdin, doors)

    def _open_cell(self, launcher: LauncherDoor) -> Cell:
        secrets = self._place.transform.secrets
        is_given = bool(secrets.files or secrets.environ)
        walls = self._place.walls(launcher.groups or ())
        return launcher.open(walls, self._group, secrets if is_given else None, self._take_back)

    def _take_back(self, cell: Cell) -> None:
        if self._cell is None:
            self._cell = cell
        else:
            cell.close()

    def _release(self) -> None:
        self._close_cell()
        if self._group is not None:
            self._group.close()
            self._group = self._meter = None

    def _close_cell(self) -> None:
        if self._cell is not None:
            cell, self._cell = self._cell, None
            cell.close()

    def _enter(self, launcher: LauncherDoor) -> None:
        """See to it that there is this worker's control group, made by the launcher that runs now; count anew."""
        if self._group_of is not launcher:
            self._close_cell()
            self._group_of = launcher
            self._group = launcher.groups.open(self._place.transform.limits) if launcher.groups else None
            self._meter = self._group
        if self._group is not None and not self._group.begin():
            self._close_cell()
            self._group.begin()
