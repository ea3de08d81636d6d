"""Times as specs and ticks have them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pachlet.spec.times import format_time, parse_time


@pytest.mark.parametrize(
    "text, time",
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:01.5Z", 1_500_000_000),
        ("2024-03-31T03:00:00+02:00", 1_711_846_800_000_000_000),
        ("2024-03-31t01:00:00z", 1_711_846_800_000_000_000),
        ("1969-12-31T23:59:59.999999999Z", -1),
        ("0001-01-01T00:00:00Z", -(2**63 - 1)),
        ("9999-12-31T23:59:59Z", 2**63 - 1),
        ("2024-02-30T00:00:00Z", None),
        ("2024-03-31T03:00:00", None),
        ("2024-03-31", None),
        ("readme.txt", None),
    ],
)
def test_parse(text: str, time: int | None) -> None:
    assert parse_time(text) == time


@given(st.integers(-(2**62), 2**63 - 1))
def test_round(time: int) -> None:
    assert parse_time(format_time(time)) == time


def test_format() -> None:
    assert format_time(0) == "1970-01-01T00:00:00Z"
    assert format_time(1_711_846_800_500_000_000) == "2024-03-31T01:00:00.5Z"
