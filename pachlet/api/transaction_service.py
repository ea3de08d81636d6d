"""transaction_v2.API: open a transaction, look at it, finish it or give it up.

Read next: open_transactions.py (what happens in one).
"""

from __future__ import annotations

from typing import Any

from pachlet.api import messages
from pachlet.api.callers import mark_of
from pachlet.api.handlers import Context
from pachlet.api.open_transactions import OpenTransactions
from pachlet.metadb.connect import Database
from pachlet.wire import schema


class TransactionService:
    """Answers transaction_v2.API."""

    def __init__(self, database: Database, open_transactions: OpenTransactions) -> None:
        self._database = database
        self._open = open_transactions

    def StartTransaction(self, request: Any, context: Context) -> Any:
        return self._open.start().transaction

    def InspectTransaction(self, request: Any, context: Context) -> Any:
        with self._database.read() as db:
            return self._open.inspect(db, request.transaction.id)

    def ListTransaction(self, request: Any, context: Context) -> Any:
        parse = schema.message("transaction_v2.TransactionInfo").FromString
        with self._database.read() as db:
            infos = [parse(row["info"]) for row in db.all("list_transactions")]
        return messages.make("transaction_v2.TransactionInfos", transaction_info=infos)

    def DeleteTransaction(self, request: Any, context: Context) -> Any:
        with self._database.write() as db:
            self._open.inspect(db, request.transaction.id)
            db.run("delete_transaction", id=request.transaction.id)
        return messages.empty()

    def FinishTransaction(self, request: Any, context: Context) -> Any:
        return self._open.finish(request.transaction.id, mark_of(context))

    def BatchTransaction(self, request: Any, context: Context) -> Any:
        return self._open.batch(list(request.requests), mark_of(context))

    def DeleteAll(self, request: Any, context: Context) -> Any:
        with self._database.write() as db:
            db.run("delete_transactions")
        return messages.empty()
