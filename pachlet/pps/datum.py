"""A datum: the files that one run of the step sees.

Its id says which files it takes (input name, repo, branch, path), its hash also what is in them; skipping compares the
two. Both are Pachyderm's to the byte.

Read next: datums.py (where datums come from), skipping.py (what the hash is for).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from pachlet.paths import Repo
from pachlet.pps.inputs import PfsInput


class DatumFile(NamedTuple):
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
    parts: list[bytes] = []
    for file in files:
        # The repo's project and type are not part of it: upstream left them out, and ids must not change.
        for text in (file.name, file.repo.name, file.branch, file.path):
            encoded = text.encode()
            parts += (encoded, len(encoded).to_bytes(8, "big"))
    return hashlib.blake2b(b"".join(parts), digest_size=32).hexdigest()


def datum_hash(datum: Datum, salt: str) -> str:
    """Return the hash under which a datum's result may be used again."""
    hasher = hashlib.blake2b(datum.id.encode(), digest_size=32)
    for file in datum.files:
        if not file.input.reference:
            hasher.update(file.hash)
    hasher.update(salt.encode())
    return hasher.hexdigest()
