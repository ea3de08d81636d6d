"""What the parts of pps_v2.API share: the service is one, its RPCs are in a module for each kind of thing.

Read next: pps_service.py (the parts together).
"""

from __future__ import annotations

from pachlet.api.open_transactions import OpenTransactions
from pachlet.clock import Clock
from pachlet.pps.engine import Engine


class PpsPart:
    """A part of pps_v2.API; one that extends this registers what it does in transactions when it is made."""

    def __init__(self, engine: Engine, clock: Clock, open_transactions: OpenTransactions) -> None:
        self.engine = engine
        self.clock = clock
        self.open_transactions = open_transactions
