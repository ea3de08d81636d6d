"""Make a folder of a repo hold what a local folder holds, in one commit, and in none where it does already.

Read next: put_file.py, deploy.py and pipelines/main_job.py (who puts data so).
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pachlet.client import files, projects, repos
from pachlet.client.connection import Connection
from pachlet.client.get_file import get_bytes
from pachlet.client.put_file import FromDisk, Nothing, put_file
from pachlet.errors import AlreadyExists, NotFound
from pachlet.paths import check_file_path


@dataclass(frozen=True)
class Mirrored:
    """What a folder of a repo lacked, or had too much, by path."""

    put: tuple[str, ...]
    deleted: tuple[str, ...]

    def __str__(self) -> str:
        if not self.put and not self.deleted:
            return "unchanged"
        put = "1 file put" if len(self.put) == 1 else f"{len(self.put)} files put"
        return put + (f", {len(self.deleted)} deleted" if self.deleted else "")


def ensure_repos(connection: Connection, wanted: Mapping[str, str]) -> list[str]:
    """Create the project of a connection and repos in it (descriptions by name) where they are missing; name those."""
    made = []
    with contextlib.suppress(AlreadyExists):
        projects.create_project(connection, connection.project)
    for name, description in wanted.items():
        with contextlib.suppress(AlreadyExists):
            repos.create_repo(connection, name, description=description)
            made.append(name)
    return made


def is_empty(connection: Connection, folder: str) -> bool:
    """Tell whether a folder of a repo has no file; a branch that is not there has none."""
    try:
        return next(iter(files.list_file(connection, folder)), None) is None
    except NotFound:
        return True


def mirror(
    connection: Connection,
    repo: str,
    wanted: Mapping[str, Path],
    folder: str = "",
    *,
    dry_run: bool = False,
    source: str = "",
) -> Mirrored:
    """Make a folder of a repo's master hold just some local files, by path; return what that changed, or would.

    Files are compared by their bytes: hashes of two servers need not be made alike. The commit says that they are from
    `source`, or from where they lie.
    """
    there: dict[str, int] = {}
    if not is_empty(connection, f"{repo}@master:{folder}/"):
        for info in files.walk_file(connection, f"{repo}@master:{folder}/"):
            if not info.file.path.endswith("/"):
                there[info.file.path] = info.size_bytes
    for path in wanted:  # before anything is changed
        check_file_path(path)
    changed = [path for path in wanted if not _is_same(connection, repo, path, wanted[path], there.get(path))]
    gone = [path for path in there if path not in wanted]
    if (changed or gone) and not dry_run:
        puts: list[FromDisk | Nothing] = [
            *map(Nothing, gone),
            *(FromDisk(path, wanted[path]) for path in changed),
        ]
        put_file(connection, f"{repo}@master", puts, source=source)
    return Mirrored(tuple(changed), tuple(gone))


def local_files(folder: Path, at: str = "") -> dict[str, Path]:
    """Return the files below a local folder by the paths that they have in a repo; hidden ones are left out."""
    names = sorted(each.relative_to(folder) for each in folder.rglob("*") if each.is_file())
    shown = [name for name in names if not any(part.startswith(".") for part in name.parts)]
    return {f"{at}/{name.as_posix()}": folder / name for name in shown}


def _is_same(connection: Connection, repo: str, path: str, local: Path, size: int | None) -> bool:
    """Tell whether a file of a repo has the bytes of a local one."""
    if size != local.stat().st_size:
        return False
    return get_bytes(connection, f"{repo}@master:{path}") == local.read_bytes()
