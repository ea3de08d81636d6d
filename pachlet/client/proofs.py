"""Have a pachlet server run the datums of commits again and compare.

Read next: wire/proto/pachlet/v1/proofs.proto, cli/verbs/verify.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pachlet.client import names
from pachlet.client.connection import Connection, Message
from pachlet.errors import Unimplemented
from pachlet.ids import is_commit_id


def verify(
    connection: Connection, wanted: Sequence[str], *, all: bool = False, deep: bool = False
) -> Iterator[Message]:
    """Yield a VerifyResponse whenever something was found out, and at least every second.

    Args:
        wanted: commits (`repo@branch-or-commit`), and ids of job sets.
        all: the newest output commit of every pipeline, too.
        deep: also the output commits that these were made from.

    Raises:
        Unimplemented: the server is no pachlet.
    """
    request = {
        "commits": [names.commit(connection.project, each) for each in wanted if not is_commit_id(each)],
        "commit_sets": [{"id": each} for each in wanted if is_commit_id(each)],
        "all": all,
        "deep": deep,
    }
    try:
        yield from connection.call("pachlet.v1.Proofs", "Verify", request)
    except Unimplemented:
        raise Unimplemented(
            f"{connection.address} is not a pachlet server, and runs nothing again to compare it",
            hint="`pachlet debug datum` runs one of its datums here",
        ) from None
