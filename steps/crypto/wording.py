"""The codes of the stages in words, for the report's readers; programs get the codes.

A code that is not known here is shown with its underscores as spaces, so that nothing is lost.

Read next: page.py, standing.py (who show them); prices.py, audit.py, trading.py (where the codes are from).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_COPY = "duplicate_of:"

_REASONS = {
    "no_forecast": "no forecast was made",
    "short_history": "too short a history",
    "unreadable": "unreadable file",
}
_ROWS = {
    "BAD_CLOSE": "no close that is a price",
    "BAD_DATE": "no date",
    "BAD_NUMBER": "a cell that is no number",
    "DUP_DATE": "a day that was there before",
    "HEADER": "not under the header of a price file",
    "HIGH_LT_LOW": "the high is below the low",
    "NCOLS": "too few or too many cells",
    "calendar_gaps": "days are missing before it",
    "close_outside_low_high": "the close is not between low and high",
    "date_excel_serial": "a date that Excel had made a number",
    "date_long_month": "a date with the month in letters",
    "jump_gt_3x": "more than three times the price before, or less than a third",
    "marketcap_dash_to_null": "a dash for the market cap, taken as unknown",
    "open_outside_low_high": "the open is not between low and high",
    "scientific_notation_rows": "a number written with an exponent",
    "volume_dash_to_null": "a dash for the volume, taken as unknown",
    "volume_zero": "nothing was traded",
}
_HELD = {
    "illiquid": "too little of it is traded",
    "risk": "it could fall too far",
    "small_edge": "the forecast is not worth the fee and the margin",
}


def reason_words(reason: str) -> str:
    """Say why a coin has no forecast."""
    if reason.startswith(_COPY):
        return f"a copy of {reason.removeprefix(_COPY)}"
    return _known(_REASONS, reason)


def row_words(code: str) -> str:
    """Say what was repaired in a row, odd about it, or wrong with it."""
    return _known(_ROWS, code)


def held_words(reason: str) -> str:
    """Say why nothing is done with a coin."""
    return _known(_HELD, reason)


def _known(words: Mapping[str, str], code: str) -> str:
    return words.get(code, code.replace("_", " "))


def rows_unreadable(totals: Mapping[str, Any]) -> int:
    """Count the rows that could not be read as prices."""
    return sum(totals["rows_quarantined_by_code"].values())


def rows_copied(totals: Mapping[str, Any]) -> int:
    """Count the rows that are good but of a file that is a copy of another."""
    return int(totals["rows_quarantined"]) - rows_unreadable(totals)
