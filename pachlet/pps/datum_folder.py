"""Lay out a datum's input files for a step, and bring in what it wrote.

A step sees `/pfs/<input name>/<path in the repo>`, and what it leaves in `/pfs/out` becomes files of the output
commit under the datum's id as their tag, so that it is known which datum wrote a file.

Read next: running.py (who calls this).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from pachlet.errors import PachletError, Refused
from pachlet.paths import check_file_path
from pachlet.pfs.files import Files
from pachlet.pps.datums import Datum, DatumFile
from pachlet.pps.planning import JobInputs
from pachlet.storage.chunks import ChunkWriter
from pachlet.storage.content import Content, write_content
from pachlet.storage.fileset import Entry
from pachlet.worker.scratch import open_file, open_up

_BLOCK = 1 << 20


def input_entries(inputs: JobInputs, datum: Datum) -> Iterator[tuple[DatumFile, Entry]]:
    """Yield every file of a datum with the part of the datum that it is in.

    A part is a file, or all that is below a directory. In a group they may overlap; then the first has the file.
    """
    seen: set[tuple[str, str, str]] = set()
    for file in datum.files:
        files = inputs.files(file.repo)
        for entry in files.entries(file.path) if file.is_dir else files.file(file.path):
            key = file.name, entry.path, entry.tag
            if key not in seen:
                seen.add(key)
                yield file, entry


def lay_out(files: Files, inputs: JobInputs, datum: Datum, pfs: Path) -> int:
    """Write a datum's input files below `pfs`; return their bytes."""
    total = 0
    for file, entry in input_entries(inputs, datum):
        target = pfs / file.name / entry.path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        # Entries of one path under several tags are one file, in the order of the tags, as for any reader.
        with target.open("ab") as out:
            if not file.input.empty_files:
                for block in files.read(entry.content):
                    out.write(block)
                    total += len(block)
    return total


def datum_environ(datum: Datum, inputs: JobInputs, job_id: str) -> dict[str, str]:
    """Return the variables that tell a step what it works on."""
    environ = {
        "PACH_DATUM_ID": datum.id,
        "PACH_JOB_ID": job_id,
        "PACH_OUTPUT_COMMIT_ID": job_id,
    }
    for file in datum.files:
        environ[file.name] = f"/pfs/{file.name}{file.path}"
        environ[f"{file.name}_COMMIT"] = inputs.commit(file.repo).commit.id
        if file.join_on:
            environ[f"PACH_DATUM_{file.name}_JOIN_ON"] = file.join_on
        if file.group_by:
            environ[f"PACH_DATUM_{file.name}_GROUP_BY"] = file.group_by
    return environ


def bring_in(writer: ChunkWriter, pfs: Path) -> list[tuple[str, Content]]:
    """Store what a step wrote to `pfs`/out; return paths and contents, sorted.

    Raises:
        Refused: a name that PFS can't represent, a link that leads nowhere, or something that is no file.
    """
    try:
        found = _all_outputs(pfs)
        return [(path, write_content(writer, _blocks(file))) for path, file in found]
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


def _blocks(file: Path) -> Iterator[bytes]:
    with open_file(file) as source:
        while block := source.read(_BLOCK):
            yield block
