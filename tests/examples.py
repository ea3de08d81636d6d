"""How many examples a property looks at that is slower or quicker than others, in proportion to the profile's.

A number of its own would hold in every profile, and `make soak` would look at no more than `make test`.

Read next: conftest.py (the profiles).
"""

from __future__ import annotations

from hypothesis import settings


def examples(share: float) -> int:
    """Return so many times as many examples as the profile has."""
    return max(1, round(share * settings.default.max_examples))
