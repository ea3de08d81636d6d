"""Make the datums of an input: each is the tuple of files that one run of the step sees.

The order is Pachyderm's, too: upstream keeps datums as files named by id, hence they come sorted by id, and a datum
that two parts of a union both make exists once. The order matters beyond looks: a group's datum lists its files in the
order of the datums below it, and that list makes its id.

What is held in memory is what has to be met with something else: the parts of a cross, a join or a group, but not
what they make, and not the matches of a glob.

Read next: inputs.py (the tree), globs/glob.py (how files are picked), sorting.py.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from pachlet.globs import Glob
from pachlet.pps.datum import Datum, DatumFile
from pachlet.pps.inputs import CronInput, CrossInput, GroupInput, Input, JoinInput, PfsInput, UnionInput
from pachlet.pps.sorting import in_order


class FileMatch(NamedTuple):
    """A file or directory that a glob matched."""

    path: str
    is_dir: bool
    hash: bytes
    size: int


# Return every file and directory, the root too, that the glob matches in the commit that the input reads. An
# empty commit has none, not even the root.
FilesFn = Callable[[PfsInput, Glob], Iterable[FileMatch]]


def enumerate_datums(tree: Input, files: FilesFn) -> Iterator[Datum]:
    """Yield the datums of an input in the order of their ids, each once."""
    return in_order(_make(tree, files))


def stream_datums(tree: Input, files: FilesFn) -> Iterator[Datum]:
    """Yield the datums of an input as they are found; what two parts of a union both make comes twice."""
    return _make(tree, files)


def _datums(tree: Input, files: FilesFn) -> list[Datum]:
    return list(enumerate_datums(tree, files))


def _make(tree: Input, files: FilesFn) -> Iterator[Datum]:
    match tree:
        case PfsInput():
            return _pfs(tree, files)
        case CronInput():
            return _pfs(tree.as_pfs(), files)
        case UnionInput(inputs):
            return itertools.chain.from_iterable(_make(part, files) for part in inputs)
        case CrossInput(inputs):
            return _cross([_datums(part, files) for part in inputs])
        case JoinInput(inputs):
            return _join([_by_key(_datums(part, files), _join_key) for part in inputs])
        case GroupInput(inputs):
            return _group([_by_key(_datums(part, files), _group_key) for part in inputs])
    raise TypeError(f"no input: {tree!r}")


def _pfs(leaf: PfsInput, files: FilesFn) -> Iterator[Datum]:
    glob = Glob(leaf.glob)
    for found in files(leaf, glob):
        path = found.path.rstrip("/")
        yield Datum(
            (
                DatumFile(
                    input=leaf,
                    path=path + "/" if found.is_dir else path,
                    hash=found.hash,
                    size=found.size,
                    join_on=leaf.join_on and glob.replace(path, leaf.join_on),
                    group_by=leaf.group_by and glob.replace(path, leaf.group_by),
                ),
            )
        )


def _cross(parts: list[list[Datum]]) -> Iterator[Datum]:
    if parts:
        for combination in itertools.product(*parts):
            yield Datum(tuple(file for datum in combination for file in datum.files))


_Keyed = dict[str, list[DatumFile]]


def _join(parts: list[_Keyed]) -> Iterator[Datum]:
    for key in _keys(parts):
        present = [part[key] for part in parts if key in part]
        for combination in itertools.product(*present):
            if len(present) == len(parts):
                yield Datum(combination)
            elif outer := tuple(file for file in combination if file.input.outer_join):
                yield Datum(outer)


def _group(parts: list[_Keyed]) -> Iterator[Datum]:
    for key in _keys(parts):
        yield Datum(tuple(file for part in parts for file in part.get(key, ())))


def _keys(parts: list[_Keyed]) -> Iterable[str]:
    return dict.fromkeys(key for part in parts for key in part)


def _by_key(datums: Iterable[Datum], key_of: Callable[[DatumFile], str]) -> _Keyed:
    """Sort the files, not the datums, by key: a join takes what lies below it apart, as upstream's does."""
    keyed: _Keyed = defaultdict(list)
    for datum in datums:
        for file in datum.files:
            keyed[key_of(file)].append(file)
    return keyed


def _join_key(file: DatumFile) -> str:
    return file.join_on


def _group_key(file: DatumFile) -> str:
    return file.group_by
