"""Turn each raw price file into a clean one, setting aside with its line and reason what cannot be read.

A datum is one file. A file that is no table of prices never fails the job, for one bad coin must not cost the
other 99: it is recorded for what it is (a list of coins, a notice, an unreadable file) and audit.py decides.

Read next: prices.py (how a row is read and repaired), audit.py (which adds up the stats and picks the coins).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from pachlet.step import main
from steps.crypto.formats import number_text, slug_of, write_csv, write_json, write_json_lines
from steps.crypto.prices import PriceFile, Refusal, parse_prices, split_cells

STATS_SCHEMA = "crypto.ingest-stats/1"
COIN_COLUMNS = ("date", "open", "high", "low", "close", "volume", "market_cap", "flags")

_NOTICE_LIMIT = 500


def run(inputs: Path, out: Path) -> None:
    """Ingest the files of one datum: usually one."""
    root = inputs / "prices"
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        ingest_file(path, out)


def ingest_file(path: Path, out: Path) -> None:
    """Write the stats of one file, and its clean and quarantined rows if it holds prices."""
    content = path.read_bytes()
    text = content.decode("utf-8-sig", errors="backslashreplace")
    # Only .csv is dropped from a name: two files that differ in their suffix must not share a slug.
    is_csv = path.suffix.lower() == ".csv"
    name = path.stem if is_csv else path.name
    slug = slug_of(name)
    about = {
        "schema": STATS_SCHEMA,
        "slug": slug,
        "name": name,
        "file": path.name,
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    stats = out / "stats" / f"{slug}.json"
    if not is_csv:
        write_json(stats, about | {"kind": "notice", "text": text[:_NOTICE_LIMIT].strip()})
    elif (prices := list_prices(text)) is not None:
        write_json(stats, about | {"kind": "list", "prices": prices})
    else:
        parsed = parse_prices(text)
        if parsed.rows:
            write_csv(out / "coins" / f"{slug}.csv", COIN_COLUMNS, clean_rows(parsed))
        if parsed.quarantined:
            write_json_lines(out / "quarantine" / f"{slug}.jsonl", quarantine_records(path.name, parsed))
        write_json(stats, about | {"kind": "coin"} | coin_stats(parsed))


def list_prices(text: str) -> dict[str, float] | None:
    """Read a list of coins (`100 List.csv`: Name, Price, ...), or None where the header is not a list's."""
    lines = text.splitlines()
    try:
        header = split_cells(lines[0]) if lines else []
        if not {"Name", "Price"} <= set(header) or "Date" in header:
            return None
        return dict(sorted(_named_prices(header, lines[1:])))
    except Refusal:
        return None


def _named_prices(header: list[str], lines: list[str]) -> Iterator[tuple[str, float]]:
    name, price = header.index("Name"), header.index("Price")
    for line in lines:
        cells = split_cells(line)
        if len(cells) == len(header):
            try:
                yield cells[name], float(cells[price].removeprefix("$").replace(",", ""))
            except ValueError:
                continue  # a coin without a price ("?"): the list is only a hint, see audit.py


def clean_rows(parsed: PriceFile) -> Iterator[list[str]]:
    """Write the kept rows as cells: ISO dates ascending, empty for null, flags joined by '|'."""
    for row in parsed.rows:
        numbers = (row.open, row.high, row.low, row.close, row.volume, row.market_cap)
        yield [
            row.day.isoformat(),
            *(number_text(number) for number in numbers),
            "|".join(sorted(row.repaired + row.flagged)),
        ]


def quarantine_records(file: str, parsed: PriceFile) -> Iterator[dict[str, object]]:
    """Describe each line that was set aside well enough to mend it at the source."""
    for bad in parsed.quarantined:
        yield {"file": file, "line": bad.line, "code": bad.code, "raw": bad.raw, "reason": bad.reason}


def coin_stats(parsed: PriceFile) -> dict[str, object]:
    """Sum one coin up: all that the audit needs, so that it reads no price."""
    rows, segment = parsed.rows, parsed.last_segment()
    repaired, flagged = parsed.count("repaired"), parsed.count("flagged")
    quarantined: dict[str, int] = {}
    for bad in sorted(parsed.quarantined, key=lambda bad: bad.code):
        quarantined[bad.code] = quarantined.get(bad.code, 0) + 1
    return {
        "rows_in": parsed.rows_in,
        "rows_ok": len(rows),
        "rows_quarantined": len(parsed.quarantined),
        "quarantined": quarantined,
        "repaired": repaired,
        "flagged": flagged,
        "first": rows[0].day.isoformat() if rows else None,
        "last": rows[-1].day.isoformat() if rows else None,
        "last_close": rows[-1].close if rows else None,
        "missing_days": parsed.missing_days,
        "newest_first": parsed.newest_first,
        "segment_start": segment[0].day.isoformat() if segment else None,
        "segment_rows": len(segment),
    }


if __name__ == "__main__":
    main(run)
