"""Read amounts as Kubernetes writes them: `256Mi`, `1G`, `500m`, `1e9`.

The units with an i count by 1024, those without by 1000, and `m` is a thousandth.

Read next: validate.py (who checks them), ../pps/permits.py (what they become).
"""

from __future__ import annotations

import re
from decimal import Decimal

from pachlet.errors import Refused

_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))([eE][+-]?\d{1,3}|[KMGTPE]i|[numkMGTPE]|)")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = "KMGTPE"
_SIZE = re.compile(r"(?P<number>[0-9]{1,15}(?:\.[0-9]{1,9})?) ?(?P<unit>[kmgtp]?)(?:i?b)?", re.IGNORECASE)
_SIZE_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "p": 10**15}
_STEPS = ("bytes", "KiB", "MiB", "GiB", "TiB")


def parse_quantity(text: str) -> Decimal:
    """Return the amount that a quantity means.

    Raises:
        Refused: it is none, or less than nothing.
    """
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise Refused(
            f"could not parse {text!r} as an amount: quantities must match a number and a unit",
            hint="write it as Kubernetes does, such as 256Mi, 1.5G or 500m",
        )
    number, unit = Decimal(match[1]), match[2]
    if unit in _DECIMAL:
        amount = number.scaleb(_DECIMAL[unit])
    elif unit.endswith("i"):
        amount = number * 1024 ** (_BINARY.index(unit[0]) + 1)
    else:
        amount = number.scaleb(int(unit[1:]))
    if amount < 0:
        raise Refused(f"{text!r} is less than nothing", hint="leave it out for as much as there is")
    return amount


def parse_bytes(text: str) -> int:
    """Return the bytes that a quantity means; a part of one counts as one, as in Kubernetes."""
    return int(parse_quantity(text).to_integral_value(rounding="ROUND_CEILING"))


def parse_trigger_size(text: str) -> int:
    """Return the bytes that the size of a trigger means, as `100`, `1.5K`, `10MB`: decimal, even those with an i."""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise Refused(f"invalid trigger size: invalid size: '{text}'", hint="such as 100, 10K, 1.5MB or 1G")
    return int(float(found["number"]) * _SIZE_UNITS[found["unit"].lower()])


def show_bytes(number: int) -> str:
    """Return a number of bytes for a sentence: `256 MiB`, `1.5 GiB`."""
    size, step = float(number), 0
    while size >= 1024 and step < len(_STEPS) - 1:
        size, step = size / 1024, step + 1
    return f"{size:.1f}".removesuffix(".0") + f" {_STEPS[step]}"
