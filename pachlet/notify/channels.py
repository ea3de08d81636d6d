"""What delivers letters, and what each of them promises.

Read next: mail.py, webhook.py.
"""

from __future__ import annotations

from typing import Protocol

from pachlet.errors import PachletError
from pachlet.notify.letter import Letter

TIMEOUT = 30.0
"""Seconds after which a server that does not answer is given up for this time."""


class NotDelivered(PachletError):
    """A letter did not get to where it should; the message says why."""


class Channel(Protocol):
    """One way to deliver."""

    name: str
    """What the memory calls it; the same after a restart."""

    def send(self, letter: Letter) -> None:
        """Deliver a letter; when this returns, the other side has accepted it.

        Raises:
            NotDelivered: it has not, or may not have.
        """
