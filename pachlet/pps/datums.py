"""Make the datums of an input: each is the tuple of files that one run of the step sees.

A datum's id says which files it takes (input name, repo, branch, path), its hash also what is in them;
skipping compares the two. Both are Pachyderm's to the byte, and so is the order: upstream keeps datums as
files named by id, hence they come sorted by id, and a datum that two parts of a union both make exists once.
The order matters beyond looks: a group's datum lists its files in the order of the datums below it, and that
list makes its id.

Read next: inputs.py (the tree), globs/glob.py (how files are picked).
"""

from __future__ import annotations

import hashlib
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from pachlet.globs import Glob
from pachlet.paths import Repo
from pachlet.pps.inputs import CronInput, CrossInput, GroupInput, Input, JoinInput, PfsInput, UnionInput


@dataclass(frozen=True, slots=True)
class FileMatch:
    """A file or directory that a glob matched."""

    path: str
    is_dir: bool
    hash: bytes
    size: int


# Return every file and directory, the root too, that the glob matches in the commit that the input reads. An
# empty commit has none, not even the root.
FilesFn = Callable[[PfsInput, Glob], Iterable[FileMatch]]


@dataclass(frozen=True, slots=True)
class DatumFile:
    """One file or directory in a datum."""

    input: PfsInput
    path: str  # a directory's ends in "/"
    hash: bytes
    size: int
    join_on: str  # the key, with the glob's groups filled in
    group_by: str

    @property
    def name(self) -> str:
        return self.input.name

    @property
    def repo(self) -> Repo:
        return self.input.repo

    @property
    def branch(self) -> str:
        return self.input.branch

    @property
    def is_dir(self) -> bool:
        return self.path.endswith("/")


@dataclass(frozen=True, slots=True)
class Datum:
    """What one run of the step sees; equal ids mean the same files by name, of whatever content."""

    files: tuple[DatumFile, ...]
    id: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", datum_id(self.files))

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


def datum_id(files: Iterable[DatumFile]) -> str:
    """Return the id of the datum that holds these files, in this order."""
    hasher = hashlib.blake2b(digest_size=32)
    for file in files:
        # The repo's project and type are not part of it: upstream left them out, and ids must not change.
        for text in (file.name, file.repo.name, file.branch, file.path):
            encoded = text.encode()
            hasher.update(encoded)
            hasher.update(len(encoded).to_bytes(8, "big"))
    return hasher.hexdigest()


def datum_hash(datum: Datum, salt: str) -> str:
    """Return the hash under which a datum's result may be used again."""
    hasher = hashlib.blake2b(datum.id.encode(), digest_size=32)
    for file in datum.files:
        if not file.input.reference:
            hasher.update(file.hash)
    hasher.update(salt.encode())
    return hasher.hexdigest()


def enumerate_datums(tree: Input, files: FilesFn) -> Iterator[Datum]:
    """Yield the datums of an input in the order of their ids, each once."""
    return iter(_datums(tree, files))


def _datums(tree: Input, files: FilesFn) -> list[Datum]:
    # Of datums with one id (their files may lie in two projects) upstream keeps the one that was made first.
    unique: dict[str, Datum] = {}
    for datum in _make(tree, files):
        unique.setdefault(datum.id, datum)
    return [unique[key] for key in sorted(unique)]


def _make(tree: Input, files: FilesFn) -> Iterator[Datum]:
    match tree:
        case PfsInput():
            return _pfs(tree, files)
        case CronInput():
            return _pfs(tree.as_pfs(), files)
        case UnionInput(inputs):
            return itertools.chain.from_iterable(_datums(part, files) for part in inputs)
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
