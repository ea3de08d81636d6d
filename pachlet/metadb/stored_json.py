"""Read the JSON that some columns hold: specs, metadata, records of datums.

SQLite keeps no checksums, so a flipped bit may reach whoever reads one; then it is damage, which nobody can mend by
asking again, and no bug.

Read next: connect.py.
"""

from __future__ import annotations

import json
from typing import Any

from pachlet.errors import Corrupt


def read_json(text: str) -> Any:
    """Return what a column holds.

    Raises:
        Corrupt: it is not JSON.
    """
    try:
        return json.loads(text)
    except ValueError as error:
        raise Corrupt(
            f"a row of the database is damaged: its JSON can't be read ({error})",
            hint="restore the data directory from a backup",
        ) from error
