"""The arithmetic of paper trading: cash, quantities, fees, and what all of it is worth.

Every trade is at the day's close, which is the price that the forecast started from. A fee is a share of what is traded
and is paid in cash. What is held of a coin without a price today is worth its last one. At any time

    cash + sum(quantity x price) = cash at the start - fees + sum(quantity x price change)

which the tests hold.

Read next: ledger.py (who asks).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from steps.crypto.days import rounded
from steps.crypto.trading import BUY, SELL, Decision

_CENT = 0.01  # a smaller trade is left alone


class Book:
    """What there is, and each trade that led to it."""

    def __init__(self, cash: float, fee: float) -> None:
        self.cash = cash
        self.fees = 0.0
        self.held: dict[str, float] = {}
        self.trades: list[dict[str, Any]] = []
        self._fee = fee
        self._prices: dict[str, float] = {}

    @property
    def equity(self) -> float:
        """All that there is, in dollars at the last prices."""
        return self.cash + sum(qty * self._prices[slug] for slug, qty in sorted(self.held.items()))

    def trade(self, day: str, prices: Mapping[str, float], decisions: Mapping[str, Decision]) -> None:
        """Do one day's decisions at its prices: sales first, then purchases, each in order of names."""
        self._prices.update(prices)
        for slug in sorted(decisions):
            if decisions[slug].action == SELL and slug in self.held:
                self._exchange(day, slug, SELL, -self.held[slug])
        whole = self.equity
        for slug in sorted(decisions):
            if decisions[slug].action == BUY:
                price = prices[slug]
                wanted = (decisions[slug].weight or 0.0) * whole - self.held.get(slug, 0.0) * price
                spent = min(wanted, self.cash / (1 + self._fee))
                if spent >= _CENT:
                    self._exchange(day, slug, BUY, spent / price)

    def _exchange(self, day: str, slug: str, action: str, quantity: float) -> None:
        value = quantity * self._prices[slug]
        fee = abs(value) * self._fee
        self.cash -= value + fee
        self.fees += fee
        left = self.held.get(slug, 0.0) + quantity
        if action == SELL:
            del self.held[slug]
        else:
            self.held[slug] = left
        self.trades.append(
            {
                "date": day,
                "slug": slug,
                "action": action,
                "price": rounded(self._prices[slug]),
                "qty": rounded(quantity),
                "fee": rounded(fee),
                "cash": rounded(self.cash),
                "equity": rounded(self.equity),
            }
        )


class Hold:
    """Equal parts of all coins that have a price on the first day, bought then and kept."""

    def __init__(self, cash: float, fee: float) -> None:
        self._cash = cash / (1 + fee)
        self._first: dict[str, float] = {}
        self._now: dict[str, float] = {}

    def value(self, prices: Mapping[str, float]) -> float:
        """Return what it is worth at a day's prices; the first call buys."""
        if not self._first:
            self._first = dict(prices)
        self._now.update({slug: price for slug, price in prices.items() if slug in self._first})
        parts = [self._now[slug] / first for slug, first in sorted(self._first.items())]
        return self._cash * sum(parts) / len(parts)


def drawdown(values: Sequence[float]) -> float:
    """Return the deepest fall from a height before, as a share of that height: 0 or below."""
    deepest, height = 0.0, 0.0
    for value in values:
        height = max(height, value)
        deepest = min(deepest, value / height - 1)
    return deepest
