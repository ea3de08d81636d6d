"""Parse one coin's daily price rows as coinmarketcap.com published them, oddities and all.

Every physical line is parsed on its own: the source never puts a line break inside a cell, so a stray quote
costs one row and not the rest of the file, and each row's line number is exact. What has one plain meaning is
repaired (`June 4, 2017`, the Excel serial `42093`, `1,194,830,000`, `-`, `8.50E-07`); anything else is
quarantined with its line, its text and the reason. Rows in = rows kept + rows quarantined, always.

Read next: ingest.py (which writes what this finds), audit.py (which adds it up).
"""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import pairwise

HEADER = ("Date", "Open", "High", "Low", "Close", "Volume", "Market Cap")

# A longer run of missing days is a break: what lies before it is another segment.
MAX_FILLED_DAYS = 7

_JUMP = 3.0
_RAW_LIMIT = 300  # characters of a bad line kept in the quarantine: enough to find it, even in a binary file
_FIRST_DAY = date(2009, 1, 3)  # Bitcoin's first block: no coin has an older price
_LAST_DAY = date(2099, 12, 31)
_EXCEL_DAY_ZERO = date(1899, 12, 30)

_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_MONTH_OF = {month[:n]: m for m, month in enumerate(_MONTHS, 1) for n in range(3, len(month) + 1)}
_WORD_DATE = re.compile(r"([A-Z][a-z]+) (\d{1,2}), (\d{4})")
_ISO_DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})")
_SERIAL_DATE = re.compile(r"\d{5}")
_NUMBER = re.compile(r"(?:\d+|\d{1,3}(?:,\d{3})+)(?:\.\d+)?(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?")


class Refusal(Exception):
    """A row that cannot be repaired: a code for counting and a reason for reading."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


@dataclass
class Row:
    """One day of one coin; None is a value that the source does not have."""

    line: int
    day: date
    open: float | None
    high: float | None
    low: float | None
    close: float
    volume: float | None
    market_cap: float | None
    repaired: list[str] = field(default_factory=list)
    flagged: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Quarantined:
    """One line that was set aside, with all that is needed to mend it at the source."""

    line: int
    code: str
    reason: str
    raw: str


@dataclass(frozen=True)
class PriceFile:
    """What a whole file came to: rows by ascending date, and the rest."""

    rows: list[Row]
    quarantined: list[Quarantined]
    newest_first: bool
    missing_days: int

    @property
    def rows_in(self) -> int:
        """Count every row that the file held."""
        return len(self.rows) + len(self.quarantined)

    def count(self, kind: str) -> dict[str, int]:
        """Count the rows' codes; `kind` is "repaired" or "flagged"."""
        return dict(sorted(Counter(code for row in self.rows for code in getattr(row, kind)).items()))

    def last_segment(self) -> list[Row]:
        """The rows after the last gap that is too long to fill."""
        start = 0
        for i in range(1, len(self.rows)):
            if _gap(self.rows[i - 1], self.rows[i]) > MAX_FILLED_DAYS:
                start = i
        return self.rows[start:]


def parse_prices(text: str) -> PriceFile:
    """Parse a whole file; never raises, whatever the text is."""
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    headed = bool(lines) and is_header(lines[0][1])
    rows: list[Row] = []
    quarantined: list[Quarantined] = []
    seen: dict[date, int] = {}
    for number, line in lines[1:] if headed else lines:
        try:
            if not headed:
                raise Refusal("HEADER", f"the file's first line is not {','.join(HEADER)}")
            row = parse_row(number, line)
            if row.day in seen:
                raise Refusal("DUP_DATE", f"{row.day} is already on line {seen[row.day]}, which is kept")
        except Refusal as refusal:
            raw = line.rstrip("\r")[:_RAW_LIMIT]
            quarantined.append(Quarantined(number, refusal.code, refusal.reason, raw))
        else:
            seen[row.day] = number
            rows.append(row)
    newest_first = all(later.day > earlier.day for later, earlier in pairwise(rows))
    rows.sort(key=lambda row: row.day)
    return PriceFile(rows, quarantined, newest_first, _flag_neighbours(rows))


def parse_row(number: int, line: str) -> Row:
    """Parse one line, or raise the Refusal that says why it is no row."""
    if is_header(line):
        raise Refusal("HEADER", "the header is repeated in mid-file")
    cells = split_cells(line)
    if len(cells) != len(HEADER):
        raise Refusal("NCOLS", f"{len(cells)} cells where the header has {len(HEADER)}")
    by_name = dict(zip(HEADER, cells, strict=True))
    repaired: list[str] = []
    day = _parse_day(by_name["Date"], repaired)
    close = _parse_price("Close", by_name["Close"])
    if close is None:
        raise Refusal("BAD_CLOSE", "no close: a day without its close is no observation")
    row = Row(
        line=number,
        day=day,
        open=_parse_price("Open", by_name["Open"]),
        high=_parse_price("High", by_name["High"]),
        low=_parse_price("Low", by_name["Low"]),
        close=close,
        volume=_parse_number("Volume", by_name["Volume"]),
        market_cap=_parse_number("Market Cap", by_name["Market Cap"]),
        repaired=repaired,
    )
    _note_repairs(row, by_name)
    _check_range(row)
    return row


def day_of_line(line: str) -> date | None:
    """Return the day that a line is about; None if it can't be told."""
    try:
        return _parse_day((split_cells(line) or [""])[0], [])
    except Refusal:
        return None


def split_cells(line: str) -> list[str]:
    """Split one physical line at its commas, quotes respected; an unreadable line is a Refusal."""
    try:
        found = list(csv.reader([line.rstrip("\r")], strict=True))
    except csv.Error as error:
        raise Refusal("NCOLS", f"not a line of CSV ({error})") from error
    return [cell.strip() for cell in found[0]] if len(found) == 1 else []


def is_header(line: str) -> bool:
    """Tell whether a line is the price header, however it is capitalised or quoted."""
    try:
        cells = split_cells(line)
    except Refusal:
        return False
    return [cell.casefold() for cell in cells] == [name.casefold() for name in HEADER]


def _parse_day(cell: str, repaired: list[str]) -> date:
    try:
        if word := _WORD_DATE.fullmatch(cell):
            month, day, year = word.groups()
            found = date(int(year), _MONTH_OF[month], int(day))
            if len(month) > 3:
                repaired.append("date_long_month")
        elif iso := _ISO_DATE.fullmatch(cell):
            found = date(*map(int, iso.groups()))
        elif _SERIAL_DATE.fullmatch(cell):
            found = _EXCEL_DAY_ZERO + timedelta(days=int(cell))
            repaired.append("date_excel_serial")
        else:
            raise ValueError
    except (ValueError, KeyError, OverflowError):
        raise Refusal("BAD_DATE", f"{cell[:40]!r} is no date") from None
    if not _FIRST_DAY <= found <= _LAST_DAY:
        raise Refusal("BAD_DATE", f"{found} is not between {_FIRST_DAY} and {_LAST_DAY}")
    return found


def _parse_number(column: str, cell: str) -> float | None:
    """Read a number or null; never negative, never NaN or infinite."""
    if cell in ("-", ""):
        return None
    if _NUMBER.fullmatch(cell):
        value = float(cell.replace(",", ""))
        if math.isfinite(value):
            return value
    raise Refusal("BAD_CLOSE" if column == "Close" else "BAD_NUMBER", f"{column} {cell[:40]!r} is no number")


def _parse_price(column: str, cell: str) -> float | None:
    value = _parse_number(column, cell)
    if value == 0:
        raise Refusal("BAD_CLOSE" if column == "Close" else "BAD_NUMBER", f"{column} is zero")
    return value


def _note_repairs(row: Row, cells: Mapping[str, str]) -> None:
    for column, code in (("Volume", "volume_dash_to_null"), ("Market Cap", "marketcap_dash_to_null")):
        if cells[column] in ("-", ""):
            row.repaired.append(code)
    if any("e" in cells[column].lower() for column in HEADER[1:]):
        row.repaired.append("scientific_notation_rows")


def _check_range(row: Row) -> None:
    """Refuse a high below its low; flag an open or close outside them (rounding does that to cheap coins)."""
    if row.volume == 0:
        row.flagged.append("volume_zero")
    if row.low is None or row.high is None:
        return
    if row.high < row.low:
        raise Refusal("HIGH_LT_LOW", f"high {row.high!r} is below low {row.low!r}")
    if row.open is not None and not row.low <= row.open <= row.high:
        row.flagged.append("open_outside_low_high")
    if not row.low <= row.close <= row.high:
        row.flagged.append("close_outside_low_high")


def _flag_neighbours(rows: list[Row]) -> int:
    """Flag jumps and gaps on the later of two neighbouring days; return the number of missing days."""
    missing = 0
    for earlier, later in pairwise(rows):
        if gap := _gap(earlier, later):
            missing += gap
            later.flagged.append("calendar_gaps")
        if max(earlier.close, later.close) > _JUMP * min(earlier.close, later.close):
            later.flagged.append("jump_gt_3x")
    return missing


def _gap(earlier: Row, later: Row) -> int:
    return (later.day - earlier.day).days - 1
