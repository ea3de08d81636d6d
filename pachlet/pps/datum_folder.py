"""Say which files a datum has, and what a step is told of them; store what it wrote.

A step sees `/pfs/<input name>/<path in the repo>`, and what it leaves in `/pfs/out` becomes files of the output
commit under the datum's id as their tag, so that it is known which datum wrote a file.

Read next: local_head.py (who asks), ../worker/layout.py (how files are laid out).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from pachlet.errors import Refused
from pachlet.paths import Repo
from pachlet.pps.datum import Datum
from pachlet.pps.job_inputs import JobInputs
from pachlet.storage.chunks import ChunkStore, ChunkWriter
from pachlet.storage.content import Content, concat, write_content
from pachlet.storage.fileset import Entry
from pachlet.worker.head import Output
from pachlet.worker.scratch import open_file

_BLOCK = 1 << 20
TICK_VARIABLE = "PACHLET_TICK_"
"""Before the name of a cron input: the variable that says which tick the datum is of, such as 2026-01-31T06:00:00Z."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file of a datum; what several tags wrote of it is one file, in the order of the tags, as for any reader."""

    path: str
    """Below /pfs."""
    entries: list[Entry]
    is_empty: bool
    """Whether the step is to see its name only."""
    is_lazy: bool = False
    """Whether the step is to read it through a named pipe."""


def input_files(inputs: JobInputs, datum: Datum) -> list[Found]:
    """Return the files of a datum, each once. In a group its parts may overlap; then the first has the file."""
    found: dict[tuple[str, str], Found] = {}
    for file in datum.files:
        files = inputs.files(file.repo)
        seen = set()
        for entry in files.entries(file.path) if file.is_dir else files.file(file.path):
            key = file.name, entry.path
            if key not in found:
                seen.add(key)
                path, input = f"{file.name}{entry.path}", file.input
                found[key] = Found(path, [entry], input.empty_files, input.lazy and not input.empty_files)
            elif key in seen:
                found[key].entries.append(entry)
    return list(found.values())


def datum_environ(datum: Datum, commit_of: Callable[[Repo], str], job_id: str) -> dict[str, str]:
    """Return the variables that tell a step what it works on; `commit_of` has the id of the commit that is read."""
    environ = {
        "PACH_DATUM_ID": datum.id,
        "PACH_JOB_ID": job_id,
        "PACH_OUTPUT_COMMIT_ID": job_id,
    }
    for file in datum.files:
        environ[file.name] = f"/pfs/{file.name}{file.path}"
        environ[f"{file.name}_COMMIT"] = commit_of(file.repo)
        if file.input.is_cron:
            environ[f"{TICK_VARIABLE}{file.name}"] = file.path[1:]
        if file.join_on:
            environ[f"PACH_DATUM_{file.name}_JOIN_ON"] = file.join_on
        if file.group_by:
            environ[f"PACH_DATUM_{file.name}_GROUP_BY"] = file.group_by
    return environ


def bring_in(
    store: ChunkStore, writer: ChunkWriter, outputs: Iterable[tuple[str, Output]], inputs: Sequence[Found]
) -> list[tuple[str, Content]]:
    """Store what a step wrote; return paths and contents. What is an input of its datum is not read again.

    Raises:
        Refused: a file is none any more, or can't be read.
    """
    return [
        (
            path,
            write_content(writer, _blocks(place))
            if isinstance(place, str)
            else original(store, writer, inputs, place.path),
        )
        for path, place in outputs
    ]


def original(store: ChunkStore, writer: ChunkWriter, inputs: Sequence[Found], path: str) -> Content:
    """Return an input of a datum, by its path below /pfs, as it is in its repo; nothing is read or stored again.

    Raises:
        Refused: the datum has no such input.
    """
    parts = next(([each.content for each in found.entries] for found in inputs if found.path == path), None)
    if parts is None:
        raise Refused(f"the datum has no input {path}")
    writer.lean_on(digest for part in parts for digest, _ in part.chunks)
    return concat(store, writer, parts)


def _blocks(file: str) -> Iterator[bytes]:
    with open_file(file) as source:
        left = os.fstat(
            source.fileno()
        ).st_size  # a read that is short need not be the last: the disk may be ill behind it
        while block := source.read(_BLOCK):
            yield block
            left -= len(block)
            if left <= 0:
                return
