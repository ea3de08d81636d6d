"""The day that a cron tick stands for, as the steps that bring prices read it.

A step knows no clock: what is today is said by the name of the tick's file. A tick is made when its day has begun, so
the newest day that is whole is the one before.

Read next: replay.py, fetch.py.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

from pachlet.step import BadInput


def today(folder: Path) -> date:
    """Return the day (UTC) of the newest tick in a cron input's folder."""
    times = []
    for path in folder.iterdir():
        try:
            times.append(datetime.fromisoformat(path.name.replace("Z", "+00:00")).astimezone(UTC))
        except ValueError as error:
            raise BadInput(f"{path.name!r} is no time of a tick") from error
    if not times:
        raise BadInput(f"there is no tick in {folder.name}")
    return max(times).date()
