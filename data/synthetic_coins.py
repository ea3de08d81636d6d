"""Write made-up coins in the exact format of the published price files, with every oddity that those have.

For trying the pipelines without the real files: `python data/synthetic_coins.py OUT --coins 12 --days 400`.
The prices are a seeded random walk; nothing in them is or was true. Every file name says so, and so does the
notice SYNTHETIC.txt, which the pipelines carry through to the report. The same arguments always write the
same bytes. Nothing but the standard library is used, so that it runs before anything is installed.

Read next: ../steps/crypto/prices.py (which must see through all of it).
"""

from __future__ import annotations

import argparse
import hashlib
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

LAST_DAY = date(2017, 9, 22)
NOTICE = """SYNTHETIC DATA: these coins are made up by data/synthetic_coins.py (seed {seed}).
No price in them is or was true.
"""
HEADER = "Date,Open,High,Low,Close,Volume,Market Cap"
LIST_HEADER = "#,Name,Market Cap,Price,Circulating Supply,Volume (24h),% Change (24h)"
GREEK = (
    "Alpha", "Beta", "Gamma", "Delta", "Epsilon", "Zeta", "Eta", "Theta", "Iota", "Kappa", "Lambda", "Mu",
    "Nu", "Xi", "Omicron", "Pi", "Rho", "Sigma", "Tau", "Upsilon", "Phi", "Chi", "Psi", "Omega",
)  # fmt: skip
MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_EXCEL_DAY_ZERO = date(1899, 12, 30)
_YOUNG_DAYS = 34  # too few to forecast


@dataclass(frozen=True)
class Day:
    """One day of one coin before it is written in the source's spelling."""

    day: date
    open: float
    high: float
    low: float
    close: float
    volume: int | None
    market_cap: int | None


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the files into the folder that the command line names."""
    parser = argparse.ArgumentParser(description="Write synthetic coins in the source's exact format.")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write into; made if absent")
    parser.add_argument("--coins", type=int, default=12, help="number of coins, 5 or more (default 12)")
    parser.add_argument("--days", type=int, default=400, help="days of history, 100 or more (default 400)")
    parser.add_argument("--seed", type=int, default=7, help="another seed, other prices (default 7)")
    options = parser.parse_args(arguments)
    if options.coins < 5 or options.days < 100:
        parser.error("five coins of a hundred days are the least that show every oddity")
    for name, content in files(options.coins, options.days, options.seed):
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / name).write_bytes(content)


def files(coins: int, days: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Make every file as (name, bytes): the coins, one copy under a false name, the list, the notice."""
    listed: list[tuple[str, Day]] = []
    market = random.Random(f"{seed}/market")
    tide = [market.gauss(0.002, 0.02) for _ in range(days)]
    for number in range(coins):
        name = coin_name(number)
        history = walk(random.Random(f"{seed}/{name}"), number, days, tide)
        if number == coins - 1:
            history = history[-_YOUNG_DAYS:]
        content = spell(history, number)
        listed.append((name, history[-1]))
        yield f"{name}.csv", content
        if number == 1:
            # As Siacoin was published with the prices of Nexus: the list alone tells which is which.
            listed.append(("Synthcoin Aleph", Day(LAST_DAY, 0.002, 0.002, 0.002, 0.002, 5000, 9_000_000)))
            yield "Synthcoin Aleph.csv", content
    yield "100 List.csv", spell_list(listed)
    yield "SYNTHETIC.txt", NOTICE.format(seed=seed).encode()


def coin_name(number: int) -> str:
    """Name a coin so that nobody takes it for a real one."""
    again = number // len(GREEK)
    return f"Synthcoin {GREEK[number % len(GREEK)]}{f' {again + 1}' if again else ''}"


def walk(chance: random.Random, number: int, days: int, tide: Sequence[float]) -> list[Day]:
    """Walk a price forward: a shared tide, own noise whose size drifts, and a little bouncing back."""
    price = 10.0 ** chance.uniform(-3, 3) if number != 2 else 9e-7
    supply = 10 ** chance.randint(6, 9)
    size, last = chance.uniform(0.03, 0.07), 0.0
    history = []
    for i in range(days):
        size = min(0.2, max(0.015, size * math.exp(chance.gauss(0, 0.08))))
        step = 0.8 * tide[i] + chance.gauss(0, size) - 0.12 * last
        before, price, last = price, price * math.exp(step), step
        high = max(before, price) * math.exp(abs(chance.gauss(0, size / 3)))
        low = min(before, price) * math.exp(-abs(chance.gauss(0, size / 3)))
        traded = int(supply * price * chance.uniform(0.01, 0.1))
        history.append(
            Day(
                LAST_DAY - timedelta(days=days - 1 - i),
                open=before,
                high=high,
                low=low,
                close=price,
                volume=None if i < 20 and number % 2 == 0 else traded,
                market_cap=None if i < 10 and number % 3 == 0 else int(supply * price),
            )
        )
    # The third coin stops being quoted twice: once too long to bridge, once briefly.
    away = {*range(20, 33), *range(60, 63)} if number == 3 else set()
    return [day for i, day in enumerate(history) if i not in away]


def spell(history: Sequence[Day], number: int) -> bytes:
    """Write a coin as published: newest first, CRLF, no newline at the end."""
    rows = [spell_row(day, number, i) for i, day in enumerate(history)]
    return "\r\n".join([HEADER, *reversed(rows)]).encode("ascii")


def spell_row(day: Day, number: int, i: int) -> str:
    """Write a day; the first coin has some full month names and one day that went through a spreadsheet."""
    prices = ",".join(spell_price(price) for price in (day.open, day.high, day.low, day.close))
    if number == 0 and i == 50:
        serial = (day.day - _EXCEL_DAY_ZERO).days
        return f"{serial},{prices},{day.volume},{day.market_cap}"
    written = f"{MONTHS[day.day.month - 1][:3]} {day.day.day:02}, {day.day.year}"
    if number == 0 and day.day.day <= 4:
        written = f"{MONTHS[day.day.month - 1]} {day.day.day}, {day.day.year}"
    return f'"{written}",{prices},{spell_amount(day.volume)},{spell_amount(day.market_cap)}'


def spell_price(price: float) -> str:
    """Round as the source does: two decimals above 1, six below, a power of ten for dust."""
    if price < 1e-6:
        mantissa, exponent = f"{price:.2E}".split("E")
        return f"{mantissa}E-{int(exponent[1:]):02}"
    text = f"{price:.2f}" if price >= 1 else f"{price:.6f}"
    return text.rstrip("0").rstrip(".")


def spell_amount(amount: int | None) -> str:
    """Write an amount with thousands commas, quoted if it has any; '-' is not known."""
    if amount is None:
        return "-"
    return f'"{amount:,}"' if amount >= 1000 else str(amount)


def spell_list(listed: Sequence[tuple[str, Day]]) -> bytes:
    """Write the list of coins, which has other columns than the price files and lies among them."""
    lines = [LIST_HEADER]
    for rank, (name, day) in enumerate(listed, 1):
        symbol = "S" + hashlib.sha256(name.encode()).hexdigest()[:2].upper()
        cap, volume = day.market_cap or 0, day.volume or 0
        supply = int(cap / day.close)
        quoted = f'"${cap:,}","${day.close:,.2f}","{supply:,} {symbol}","${volume:,}"'
        lines.append(f"{rank},{name},{quoted},{rank / 10 - 1:.2f}%")
    return "\r\n".join(lines).encode("ascii")


if __name__ == "__main__":
    main()
