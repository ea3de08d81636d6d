"""Find what a step wrote to /pfs/out, as it would have seen it itself.

Links are followed the way the step would have followed them, part by part and as paths of its own: into its inputs,
its /tmp, or what it is shown of its image. Nothing is ever looked up as a path of this machine, so no link leads to
what the step could not read. A link to an input stands for that file itself, also where the step was shown its name
only, and nothing is read again.

Read next: working.py (who asks), scratch.py (how what was found is opened).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pachlet.errors import PachletError, Refused
from pachlet.paths import check_file_path
from pachlet.worker.head import InputFile, Output
from pachlet.worker.scratch import open_up, read_file

Locate = Callable[[str], str | None]
"""Session.locate."""

_LITTLE, _FEW = 64 * 1024, 64
"""A datum that wrote no more bytes, and files, is kept in memory until it is recorded."""
_MOST_LINKS = 40
_MOST_AGAIN = 100_000
"""How many entries may be found again in folders that links lead to: a dozen folders of links to each other would
make a million of one file."""
_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@dataclass(frozen=True)
class _Folder:
    """A folder that is being looked through."""

    place: str
    real: str
    """Its path as the step sees it, without links."""
    shown: str
    """Its path in the output, with a slash at its end."""
    above: tuple[str, ...]
    """The real paths of the folders that it is in by way of links, itself included."""


def find_outputs(locate: Locate, inputs: Mapping[str, InputFile]) -> list[tuple[str, Output]]:
    """Return path and place of each file that a step wrote to /pfs/out, sorted; `inputs` are by path below /pfs.

    Raises:
        Refused: a name that PFS can't represent, a link that leads nowhere, or something that is no file.
    """
    out = locate("/pfs/out")
    assert out is not None, "a session has a place for the output"
    finder = _Finder(locate, inputs)
    try:
        try:
            return sorted(finder.walk(out), key=_path)
        except PermissionError:
            open_up(Path(out))  # only when it is needed: it is one more walk over all that is there
            return sorted(finder.walk(out), key=_path)
    except PermissionError as error:
        raise Refused(f"{Path(error.filename).name}, which the step wrote, can't be read") from None
    except OSError as error:
        name = Path(str(error.filename or "a file")).name
        raise Refused(f"{name} in /pfs/out can't be collected: {error.strerror}") from None


def take_small(outputs: Sequence[tuple[str, Output]]) -> list[tuple[str, bytes]] | None:
    """Return what a step wrote if it is little, to be stored with what others wrote; None if it is not.

    Raises:
        Refused: a file is none any more, or can't be read.
    """
    if len(outputs) > _FEW:
        return None
    taken, room = [], _LITTLE
    for path, place in outputs:
        if not isinstance(place, str):
            return None
        data = read_file(place, room)
        if data is None:
            return None
        room -= len(data)
        taken.append((path, data))
    return taken


def _path(output: tuple[str, Output]) -> str:
    return output[0]


class _Finder:
    def __init__(self, locate: Locate, inputs: Mapping[str, InputFile]) -> None:
        self._locate = locate
        self._inputs = inputs

    def walk(self, out: str) -> Iterator[tuple[str, Output]]:
        self._seen, self._again = set[str](), 0
        todo = [_Folder(out, "/pfs/out", "/", ())]
        while todo:
            folder = todo.pop()
            with os.scandir(folder.place) as entries:
                found = list(entries)
            self._count(folder, len(found))
            for entry in found:
                shown = folder.shown + entry.name
                _check_name(shown)
                below = self._look(folder, entry, shown)
                if isinstance(below, _Folder):
                    todo.append(below)
                else:
                    yield shown, below

    def _count(self, folder: _Folder, entries: int) -> None:
        if folder.real not in self._seen:
            self._seen.add(folder.real)
            return
        self._again += entries
        if self._again > _MOST_AGAIN:
            raise Refused(
                f"/pfs/out{folder.shown} and other links lead to folders that others lead to, and more than"
                f" {_MOST_AGAIN:,} files are found again by them; write them once"
            )

    def _look(self, folder: _Folder, entry: os.DirEntry[str], shown: str) -> Output | _Folder:
        real, place, above = f"{folder.real}/{entry.name}", entry.path, folder.above
        if entry.is_symlink():
            real, place = self._follow(folder.real, entry.name, shown)
            above = (*above, folder.real)
        original = self._inputs.get(real.removeprefix("/pfs/")) if real.startswith("/pfs/") else None
        if original is not None:
            return original
        mode = os.lstat(place).st_mode
        if stat.S_ISREG(mode):
            return place
        if not stat.S_ISDIR(mode):
            kind = _KINDS.get(stat.S_IFMT(mode), "no file")
            raise Refused(f"/pfs/out{shown} is neither a file nor a directory but {kind}")
        if any(f"{each}/".startswith(f"{real}/") for each in above):
            raise Refused(f"/pfs/out{shown} is a link to a folder that holds it")
        return _Folder(place, real, f"{shown}/", above)

    def _follow(self, folder: str, name: str, shown: str) -> tuple[str, str]:
        """Return where a link leads: the path as the step sees it, and its place on this machine."""
        at, todo, links = folder, [name], 0
        while todo:
            part = todo.pop()
            if part in ("", "."):
                continue
            if part == "..":
                at = os.path.dirname(at)
                continue
            beyond = f"{at.rstrip('/')}/{part}"
            place = self._locate(beyond)
            if place is None:
                raise Refused(
                    f"/pfs/out{shown} is a link to {_plain(beyond)}, which can't be collected; copy the file instead"
                )
            try:
                is_link = stat.S_ISLNK(os.lstat(place).st_mode)
            except OSError as error:
                raise Refused(f"/pfs/out{shown} is a link that leads nowhere: {error.strerror}") from None
            if not is_link:
                at = beyond
                continue
            links += 1
            if links > _MOST_LINKS:
                raise Refused(f"/pfs/out{shown} is a link that leads nowhere: it leads back to itself")
            target = os.readlink(place)
            todo += reversed(target.split("/"))
            if target.startswith("/"):
                at = "/"
        place = self._locate(at)
        assert place is not None, "it was found a moment ago, or is what every session has"
        return at, place


def _check_name(shown: str) -> None:
    try:
        check_file_path(shown)
    except PachletError as error:
        raise Refused(
            "cannot upload file produced by the user code because its name cannot be represented in PFS: "
            f"{_plain(str(error))}"
        ) from None


def _plain(text: str) -> str:
    """Return a text that anybody can print: names of files may hold bytes that are no text."""
    return text.encode(errors="backslashreplace").decode()
