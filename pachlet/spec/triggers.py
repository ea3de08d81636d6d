"""Read the conditions of a trigger; the texts are upstream's.

Read next: ../pfs/triggers.py (what they mean), quantity.py and schedule.py (how they are read).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pachlet.errors import Refused
from pachlet.spec.quantity import parse_trigger_size
from pachlet.spec.schedule import parse_schedule

CONDITIONS = ("rate_limit_spec", "size", "commits", "cron_spec")
_SCHEDULES = {"rate_limit_spec": "rate limit spec", "cron_spec": "cron spec"}


def check_conditions(trigger: Mapping[str, Any]) -> None:
    """Refuse a trigger with a condition that can't be read."""
    for name in CONDITIONS:
        check_condition(name, trigger.get(name))


def check_condition(name: str, value: Any) -> None:
    """Refuse a condition that can't be read; one that is empty is none."""
    if not value:
        return
    if name == "size":
        parse_trigger_size(value)
    elif name == "commits":
        if value < 0:
            raise Refused("can't trigger on a negative number of commits")
    else:
        try:
            parse_schedule(value)
        except Refused as error:
            raise Refused(f"invalid trigger {_SCHEDULES[name]}: {error}", hint=error.hint) from None
