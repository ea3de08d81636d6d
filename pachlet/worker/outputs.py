"""Find what a step wrote to /pfs/out, as it would have seen it itself.

Links are followed the way the step would have followed them: /pfs is the datum's folder, and nothing leads out of it.

Read next: working.py (who asks).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from pachlet.errors import PachletError, Refused
from pachlet.paths import check_file_path
from pachlet.worker.scratch import open_up


def find_outputs(pfs: Path) -> list[tuple[str, Path]]:
    """Return path and place of each file that a step wrote to `pfs`/out, sorted.

    Raises:
        Refused: a name that PFS can't represent, a link that leads nowhere, or something that is no file.
    """
    try:
        return _all_outputs(pfs)
    except PermissionError as error:
        raise Refused(f"{Path(error.filename).name}, which the step wrote, can't be read") from None


def _all_outputs(pfs: Path) -> list[tuple[str, Path]]:
    out = pfs / "out"
    try:
        return sorted(_outputs(out, pfs, "/", ()))
    except PermissionError:
        open_up(out)  # only when it is needed: it is one more walk over all that is there
        return sorted(_outputs(out, pfs, "/", ()))


def _outputs(folder: Path, pfs: Path, prefix: str, seen: tuple[Path, ...]) -> Iterator[tuple[str, Path]]:
    for name in sorted(os.listdir(folder)):
        path = prefix + name
        try:
            check_file_path(path)
        except PachletError as error:
            raise Refused(
                "cannot upload file produced by the user code because its name cannot be represented in PFS: "
                f"{error}"
            ) from None
        source = _follow(folder / name, pfs, path)
        if source.is_dir():
            if source in seen:
                raise Refused(f"/pfs/out{path} is a link to a folder that holds it")
            yield from _outputs(source, pfs, path + "/", (*seen, source))
        elif source.is_file():
            yield path, source
        else:
            raise Refused(f"/pfs/out{path} is neither a file nor a directory")


def _follow(path: Path, pfs: Path, shown: str) -> Path:
    """Follow links as the step would have seen them: /pfs is the datum's folder, and nothing leads out of it."""
    for _ in range(40):
        if not path.is_symlink():
            break
        target = Path(os.readlink(path))
        if target.is_absolute():
            if target.parts[:2] != ("/", "pfs"):
                raise Refused(
                    f"/pfs/out{shown} is a link to {target}, which is outside of /pfs; copy the file instead"
                )
            path = pfs.joinpath(*target.parts[2:])
        else:
            path = path.parent / target
    try:
        resolved = path.resolve(strict=True)
    except OSError as error:
        raise Refused(f"/pfs/out{shown} is a link that leads nowhere: {error.strerror}") from None
    if not resolved.is_relative_to(pfs.resolve()):
        raise Refused(f"/pfs/out{shown} is a link out of /pfs; copy the file instead")
    return resolved
