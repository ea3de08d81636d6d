"""Turn each raw price file into a clean one, setting aside with its line and reason what cannot be read.

A datum is one file. A file that is no table of prices never fails the job, for one bad coin must not cost the
other 99: it is recorded for what it is (a list of coins, a notice, an unreadable file) and audit.py decides.
Nor does it see the other files, so its outputs' names must be ones that no other file can give its own.

Read next: prices.py (how a row is read and repaired), audit.py (which adds up the stats and picks the coins).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from pachlet.step import main
from steps.crypto.formats import number_text, write_csv, write_json, write_json_lines
from steps.crypto.prices import PriceFile, Refusal, parse_prices, split_cells

STATS_SCHEMA = "crypto.ingest-stats/1"
COIN_COLUMNS = ("date", "open", "high", "low", "close", "volume", "market_cap", "flags")

_NOTICE_LIMIT = 500

_LONGEST_PLAIN = 100  # characters: what is added must still make the name of a file
_HASH_DIGITS = 10
_HASH_END = re.compile(rf"(?:^|-)[0-9a-f]{{{_HASH_DIGITS}}}$")

# Coins that coinmarketcap.com does not spell as "Bitcoin Cash" is spelt, with one capital at the head of a word.
_SPELT_OTHERWISE = (
    "ATC Coin", "BitBay", "BitConnect", "BitShares", "BitcoinDark", "BlackCoin", "CloakCoin", "DECENT", "DigiByte",
    "DigitalNote", "E-coin", "FairCoin", "FirstCoin", "GXShares", "GameCredits", "GridCoin", "I-O Coin", "ION",
    "IOTA", "LBRY Credits", "LEOcoin", "Metaverse ETP", "MonaCoin", "MonetaryUnit", "NAV Coin", "NEM", "NEO",
    "NoLimitCoin", "OKCash", "PIVX", "PotCoin", "ReddCoin", "SIBCoin", "SaluS", "SpreadCoin", "The ChampCoin",
    "ZCoin", "ZenCash",
)  # fmt: skip
_SPELLINGS = {name.lower().replace(" ", "-"): name for name in _SPELT_OTHERWISE}


def run(inputs: Path, out: Path) -> None:
    """Ingest the files of one datum: usually one."""
    prices = inputs / "prices"
    for path in sorted(p for p in prices.rglob("*") if p.is_file()):
        folder = prices / "raw" if path.is_relative_to(prices / "raw") else prices
        ingest_file(path, path.relative_to(folder).as_posix(), out)


def ingest_file(path: Path, file: str, out: Path) -> None:
    """Write the stats of one file, and its clean and quarantined rows if it holds prices.

    `file` is its path within the folder of prices: only its name, unless that folder holds folders.
    """
    content = path.read_bytes()
    text = content.decode("utf-8-sig", errors="backslashreplace")
    is_csv = path.suffix.lower() == ".csv"
    slug = slug_of(file)
    about = {
        "schema": STATS_SCHEMA,
        "slug": slug,
        "name": path.stem if is_csv else path.name,
        "file": file,
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
            write_json_lines(out / "quarantine" / f"{slug}.jsonl", quarantine_records(file, parsed))
        write_json(stats, about | {"kind": "coin"} | coin_stats(parsed))


def slug_of(file: str) -> str:
    """Name a coin in paths after its file: lower case, spaces to hyphens ("Bitcoin Cash.csv" is `bitcoin-cash`).

    Each such slug belongs to one file, the one whose coin is spelt as the source spells it. Any other file also
    carries a short hash of its name: "bitcoin.csv", "Bitcoin.CSV" and "Coin?.csv" never write another's outputs.
    """
    stem = file.removesuffix(".csv")
    slug = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")[:_LONGEST_PLAIN].rstrip("-")
    if slug and file == f"{spelling(slug)}.csv" and not _HASH_END.search(slug):
        return slug
    digest = hashlib.sha256(file.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_DIGITS]
    return f"{slug}-{digest}" if slug else digest


def spelling(slug: str) -> str:
    """Return the one name of a coin that may have this slug without a hash."""
    return _SPELLINGS.get(slug) or " ".join(word.capitalize() for word in slug.split("-"))


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
