"""Start, finish, inspect, list and delete transactions.

What is asked for while a transaction is open is checked and kept, and happens all at once, or not at all,
when it is finished. A connection that is made with a transaction's id adds to it (staged.py says what).

Read next: staged.py.
"""

from __future__ import annotations

from collections.abc import Iterator

from pachlet.client.authorship import header
from pachlet.client.connection import Connection, Message

SERVICE = "transaction_v2.API"


def start_transaction(connection: Connection) -> str:
    """Open a transaction; return its id, which will be that of its commits, too."""
    return str(connection.call(SERVICE, "StartTransaction", {}).id)


def finish_transaction(connection: Connection, transaction: str) -> Message:
    """Do all that a transaction holds, in one step; return a TransactionInfo with the answers."""
    request = {"transaction": {"id": transaction}}
    return connection.call(SERVICE, "FinishTransaction", request, metadata=header())


def inspect_transaction(connection: Connection, transaction: str) -> Message:
    """Return a TransactionInfo."""
    return connection.call(SERVICE, "InspectTransaction", {"transaction": {"id": transaction}})


def list_transaction(connection: Connection) -> Iterator[Message]:
    """Yield a TransactionInfo for each open transaction."""
    yield from connection.call(SERVICE, "ListTransaction", {}).transaction_info


def delete_transaction(connection: Connection, transaction: str) -> None:
    """Forget a transaction; nothing of it happens."""
    connection.call(SERVICE, "DeleteTransaction", {"transaction": {"id": transaction}})
