"""Say on commits who made them, from what, and why: as metadata, which Pachyderm's commits have too.

    author    USER@HOST, of whoever called; a claim, as there is no login
    source    HOST:/path or URL that the files came from
    client    the program that was used
    trigger   of a commit that the engine made: which branches moved, so that it was made

The output of a job says besides which code makes it (pps/running.py): image, git-commit, dirty.

Read next: commits.py, propagation.py, pachlet/client/authorship.py (who says so).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

AUTHOR, SOURCE, CLIENT, TRIGGER = "author", "source", "client", "trigger"


@dataclass(frozen=True)
class Mark:
    """What is known of whoever makes commits in a transaction; empty is not known."""

    author: str = ""
    source: str = ""
    client: str = ""
    message: str = ""
    """Is the commit's description, if nothing else is."""

    def metadata(self) -> str:
        """Return what of it is metadata, as JSON."""
        pairs = ((AUTHOR, self.author), (SOURCE, self.source), (CLIENT, self.client))
        return json.dumps({key: value for key, value in pairs if value})


NOBODY = Mark()


def triggered_by(branches: Iterable[str], mark: Mark) -> str:
    """Return the metadata of a commit that the engine makes because these branches moved, as JSON.

    If none did, it was asked for: somebody made a branch, or reran a pipeline.
    """
    moved = ", ".join(sorted(branches))
    return json.dumps({TRIGGER: moved}) if moved else mark.metadata()
