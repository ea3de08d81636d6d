"""Amounts are read as Kubernetes reads them."""

from __future__ import annotations

import pytest

from pachlet.errors import Refused
from pachlet.spec.quantity import parse_bytes, show_bytes


@pytest.mark.parametrize(
    "text, number",
    [
        ("0", 0),
        ("256Mi", 256 << 20),
        ("1Ki", 1024),
        ("1k", 1000),
        ("1G", 10**9),
        ("1.5Gi", 3 << 29),
        (".5M", 500_000),
        ("1e3", 1000),
        ("12E2", 1200),
        ("2E", 2 * 10**18),
        ("1Ei", 1 << 60),
        ("500m", 1),
        ("100m", 1),
        ("1500m", 2),
        ("+3", 3),
    ],
)
def test_a_quantity_is_a_number_of_bytes(text: str, number: int) -> None:
    assert parse_bytes(text) == number


@pytest.mark.parametrize(
    "text", ["", "Mi", "256 Mi", "256MB", "1KiB", "1K", "0x10", "1e", "ten", "1_000", "NaN", "inf"]
)
def test_anything_else_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(Refused, match="could not parse"):
        parse_bytes(text)


def test_less_than_nothing_is_refused() -> None:
    with pytest.raises(Refused, match="'-1Gi' is less than nothing"):
        parse_bytes("-1Gi")


def test_bytes_are_shown_in_the_unit_that_fits() -> None:
    assert [show_bytes(each) for each in (0, 1023, 256 << 20, 3 << 29, 5 << 50)] == [
        "0 bytes",
        "1023 bytes",
        "256 MiB",
        "1.5 GiB",
        "5120 TiB",
    ]
