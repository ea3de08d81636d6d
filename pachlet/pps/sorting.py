"""Put datums in the order of their ids, each once, whatever their number.

A sort has to see everything before it gives anything, and a million datums are more than a server should hold. So what
goes beyond a bound is written to files that have no name, in sorted runs, and merged from there.

Read next: datums.py (who asks).
"""

from __future__ import annotations

import contextlib
import heapq
import pickle
import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice
from operator import attrgetter
from typing import IO, Any

from pachlet.pps.datum import Datum, DatumFile
from pachlet.pps.inputs import PfsInput

IN_MEMORY = 50_000
_TOGETHER = 1000  # what is read back at once, of each run

_by_id = attrgetter("id")


def in_order(datums: Iterable[Datum], in_memory: int = IN_MEMORY) -> Iterator[Datum]:
    """Yield datums sorted by id. Of those with one id (their files may lie in two projects) the first one counts."""
    with contextlib.ExitStack() as files:
        leaves: list[PfsInput] = []
        runs: list[Iterator[Datum]] = []
        unique: dict[str, Datum] = {}
        for datum in datums:
            unique.setdefault(datum.id, datum)
            if len(unique) >= in_memory:
                file = files.enter_context(tempfile.TemporaryFile())
                _write(file, _sorted(unique), leaves)
                runs.append(_read(file, leaves))
                unique = {}
        runs.append(_sorted(unique))
        # Runs that were made earlier come first where ids are equal.
        last = ""
        for datum in heapq.merge(*runs, key=_by_id) if len(runs) > 1 else runs[0]:
            if datum.id != last:
                yield datum
            last = datum.id


def _sorted(unique: dict[str, Datum]) -> Iterator[Datum]:
    return (unique[key] for key in sorted(unique))


def _write(file: IO[bytes], datums: Iterator[Datum], leaves: list[PfsInput]) -> None:
    numbers = {id(leaf): number for number, leaf in enumerate(leaves)}

    def number(leaf: PfsInput) -> int:
        if id(leaf) not in numbers:
            numbers[id(leaf)] = len(leaves)
            leaves.append(leaf)
        return numbers[id(leaf)]

    while some := [
        [(number(f.input), f.path, f.hash, f.size, f.join_on, f.group_by) for f in datum.files]
        for datum in islice(datums, _TOGETHER)
    ]:
        pickle.dump(some, file)
    file.seek(0)


def _read(file: IO[bytes], leaves: list[PfsInput]) -> Iterator[Datum]:
    while True:
        try:
            some: list[list[tuple[Any, ...]]] = pickle.load(file)
        except EOFError:
            return
        for each in some:
            yield Datum(tuple(DatumFile(leaves[leaf], *rest) for leaf, *rest in each))
