"""Fetch stage that asks an exchange: a coin's daily candles, in the form of the published price files.

The source is Coinbase Exchange, whose candles are public and need no key: `GET /products/BTC-USD/candles` gives up to
300 rows of [time, low, high, open, close, volume], newest first, maybe some before `start`, and none for a day without
a trade; more than 300 days at once are refused, and more than ten requests a second are answered by 429
(https://docs.cdp.coinbase.com/exchange/rest-api/rate-limits). It is the one stage that uses the network. All days
since the coin's `since` are asked for at each tick, because a step may not know what it wrote before; a day counts once
it is over, so two ticks of one day give the same bytes. The exchange's volume is in coins and is written in dollars at
the day's close; it knows no market cap.

Trouble on the way is tried again and then fails the datum, so that yesterday's prices stay. A product that the exchange
does not have is an answer: it is said, and no file is written.

Read next: ticks.py, replay.py (the same from an archive), ingest.py (who reads it).
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from pachlet.step import BadInput, main
from steps.crypto.formats import number_text, read_json, write_csv
from steps.crypto.prices import HEADER
from steps.crypto.ticks import today

COIN = "crypto.coin/1"
URL = "https://api.exchange.coinbase.com"

_DAYS = 300  # candles in one answer
_TRIES = 6
_LONGEST = 60.0  # seconds to wait because the exchange says so
_DAY = 86400
_AGAIN = {429, 500, 502, 503, 504}


class Missing(Exception):
    """The exchange does not have the product."""


def run(inputs: Path, out: Path) -> None:
    """Write the prices of each coin file under `coins` (one in a datum)."""
    end = today(inputs / "tick")
    base = os.environ.get("PRICES_URL", URL)
    with httpx.Client(base_url=base, timeout=30.0, headers={"User-Agent": "pachlet"}) as client:
        for path in sorted((inputs / "coins").glob("*.json")):
            coin = read_json(path, COIN)
            try:
                product, since = str(coin["product"]), date.fromisoformat(coin["since"])
            except (KeyError, TypeError, ValueError) as error:
                raise BadInput(f"{path.name} needs a product and a day since when: {error}") from error
            try:
                rows = candles(client, product, since, end)
            except Missing:
                print(f"{base} has no product {product}, so there is no file of {path.stem}")
                continue
            if rows:
                write_csv(out / "raw" / f"{path.stem}.csv", HEADER, (cells(row) for row in rows))


def candles(
    client: httpx.Client, product: str, since: date, end: date, sleep: Callable[[float], None] = time.sleep
) -> list[tuple[date, list[float]]]:
    """Return the days from `since` to before `end`, newest first, with low, high, open, close and volume."""
    found: dict[date, list[float]] = {}
    for first, last in windows(since, end):
        for row in ask(client, product, first, last, sleep):
            day = datetime.fromtimestamp(row[0], UTC).date()
            if since <= day < end:  # it may give more than what was asked for
                found[day] = row[1:]
    return sorted(found.items(), reverse=True)


def windows(since: date, end: date) -> Iterator[tuple[date, date]]:
    """Cut the days from `since` to before `end` into spans that one answer holds, both ends inclusive."""
    first = since
    while first < end:
        last = min(first + timedelta(days=_DAYS - 1), end - timedelta(days=1))
        yield first, last
        first = last + timedelta(days=1)


def ask(
    client: httpx.Client, product: str, first: date, last: date, sleep: Callable[[float], None]
) -> list[list[float]]:
    """Ask for one span, again while the exchange or the way there is in trouble; candles as they come."""
    span = {"granularity": str(_DAY), "start": f"{first}T00:00:00Z", "end": f"{last}T00:00:00Z"}
    trouble, asked_to_wait = "", 0.0
    for attempt in range(_TRIES):
        if attempt:
            sleep(max(2.0 ** (attempt - 1), asked_to_wait))
        asked_to_wait = 0.0
        try:
            answer = client.get(f"/products/{product}/candles", params=span)
        except httpx.TransportError as error:
            trouble = f"{type(error).__name__}: {error}"
            continue
        if answer.status_code == 404:
            raise Missing
        if answer.status_code in _AGAIN:
            trouble = f"it answered {answer.status_code}"
            asked_to_wait = retry_after(answer)
            continue
        if answer.status_code != 200:
            raise BadInput(
                f"{client.base_url} answered {answer.status_code} to {product}: {answer.text[:200]}"
            )
        try:
            rows = answer.json()
        except ValueError as error:  # cut off, or a page of something in between
            trouble = f"its answer is not JSON: {error}"
            continue
        return checked(rows, product)
    raise BadInput(f"{client.base_url} gave no prices of {product} in {_TRIES} tries: {trouble}")


def retry_after(answer: httpx.Response) -> float:
    """The seconds that an answer asks to wait, within reason; 0 where it says nothing that is understood."""
    said = answer.headers.get("Retry-After", "")
    return min(float(said), _LONGEST) if said.isascii() and said.isdigit() else 0.0


def checked(answer: Any, product: str) -> list[list[float]]:
    """Return the rows of an answer, six numbers each."""
    try:
        rows = [[float(number) for number in row] for row in answer]
    except (ValueError, TypeError) as error:
        raise BadInput(f"the candles of {product} are not rows of numbers: {error}") from error
    if not all(len(row) == 6 and all(map(math.isfinite, row)) for row in rows):
        raise BadInput(f"the candles of {product} are not rows of six numbers")
    return rows


def cells(row: tuple[date, list[float]]) -> list[str]:
    """One line of a price file."""
    day, (low, high, opened, close, volume) = row
    prices = [number_text(value) for value in (opened, high, low, close)]
    return [day.isoformat(), *prices, str(round(volume * close)), "-"]


if __name__ == "__main__":
    main(run)
