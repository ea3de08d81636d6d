"""How the datums of a job are cut into sets."""

from __future__ import annotations

from typing import Any

import pytest

from pachlet.paths import Repo
from pachlet.pps.datum_sets import datum_sets
from pachlet.pps.datums import Datum, DatumFile
from pachlet.pps.inputs import PfsInput
from pachlet.pps.planning import PlannedDatum

LEAF = PfsInput("in", Repo("default", "in"), "master", "/*")


def planned(number: int, size: int = 1) -> list[PlannedDatum]:
    return [
        PlannedDatum(i, Datum((DatumFile(LEAF, f"/{i}", b"", size, "", ""),)), str(i)) for i in range(number)
    ]


@pytest.mark.parametrize(
    "spec, workers, lengths",
    [
        ({}, 1, [2, 2, 2, 2, 2]),
        ({}, 2, [1] * 10),
        ({}, 100, [1] * 10),
        ({"per_worker": 1}, 1, [10]),
        ({"per_worker": "2"}, 1, [5, 5]),
        ({"number": "4"}, 1, [4, 4, 2]),
        ({"size_bytes": "30"}, 1, [3, 3, 3, 1]),
        ({"size_bytes": "1"}, 1, [1] * 10),
        ({"number": 2, "size_bytes": 1000}, 1, [2] * 5),
    ],
)
def test_sets_are_as_large_as_the_spec_says(spec: dict[str, Any], workers: int, lengths: list[int]) -> None:
    found = list(datum_sets(planned(10, size=10), spec, workers))
    assert [len(each) for each in found] == lengths
    assert [each.position for some in found for each in some] == list(range(10))


def test_nothing_makes_no_set() -> None:
    assert list(datum_sets([], {}, 3)) == []
