"""Say beside an RPC what it refuses of what Pachyderm does, for whoever reads it and for docs/coverage.md.

Read next: handlers.py (the RPCs that are missing altogether).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Answer = TypeVar("Answer", bound=Callable[..., Any])

NOT_ACTIVATED = "it belongs to the paid edition"
ALL = "all of it, as in Pachyderm 2"


def lacking(*parts: str) -> Callable[[Answer], Answer]:
    """Note which parts of an RPC are refused by name."""

    def note(answer: Answer) -> Answer:
        answer.lacks = parts  # type: ignore[attr-defined]
        return answer

    return note


def lacks(implementation: object, method: str) -> tuple[str, ...]:
    """Return which parts an RPC that is answered refuses."""
    parts: tuple[str, ...] = getattr(getattr(implementation, method), "lacks", ())
    return parts
