"""The transactions that clients have open, and the requests that wait in them.

A call that carries a transaction's id is tried against what is there now and the requests before it, and kept if it
works; nothing of it is visible until the transaction is finished. Then all of it is done at once, and every commit
made has the transaction's id.

Read next: transaction_service.py, pachlet/pfs/transactions.py.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from pachlet.api import messages
from pachlet.api.callers import mark_of
from pachlet.api.handlers import Context
from pachlet.clock import Clock
from pachlet.errors import InvalidArgument, NotFound, PachletError, Refused
from pachlet.ids import new_id
from pachlet.metadb.connect import Database
from pachlet.metadb.connect import Transaction as Statements
from pachlet.pfs.marks import Mark
from pachlet.pfs.transactions import Transaction, Transactions
from pachlet.wire import schema

KEY = "pach-transaction"
Act = Callable[[Transaction, Any], Any]
"""Does what a request asks for and returns the answer; a transaction keeps that of `start_commit`, a pfs_v2.Commit."""


class OpenTransactions:
    """Does requests at once, or for callers that are in a transaction, later.

    `acts` has what does each kind of request; the kinds are the fields of transaction_v2.TransactionRequest.
    """

    def __init__(self, database: Database, transactions: Transactions, clock: Clock) -> None:
        self.acts: dict[str, Act] = {}
        self._database = database
        self._transactions = transactions
        self._clock = clock
        self._lock = threading.Lock()  # between the try of a request and keeping it, no other comes in

    def write(self, context: Context, kind: str, request: Any, in_transaction: Any = None) -> Any:
        """Do a request and return its answer; in a transaction, keep it, and return what its answer will be.

        Args:
            in_transaction: the answer in a transaction for a request that has no commit for an answer.
        """
        id = active_transaction(context)
        if not id:
            with self._transactions.start() as txn:
                txn.mark = mark_of(context)
                return self.acts[kind](txn, request)
        info = self._append(id, messages.make("transaction_v2.TransactionRequest", **{kind: request}))
        response = info.responses[-1]
        return response.commit if response.HasField("commit") else in_transaction

    def start(self) -> Any:
        """Open a transaction; return its TransactionInfo."""
        now = self._clock.now()
        info = _new_info(now)
        with self._database.write() as db:
            db.run("add_transaction", id=info.transaction.id, started=now, info=info.SerializeToString())
        return info

    def inspect(self, db: Statements, id: str) -> Any:
        """Return the TransactionInfo of an open transaction; raise NotFound."""
        row = db.first("get_transaction", id=id)
        if row is None:
            raise NotFound(f"transactions {id} not found", hint="pachctl list transaction")
        return schema.message("transaction_v2.TransactionInfo").FromString(row["info"])

    def finish(self, id: str, mark: Mark) -> Any:
        """Do all requests of a transaction, as work of whoever finishes it; return its TransactionInfo."""
        with self._transactions.start(commit_set=id) as txn:
            txn.mark = mark
            info = self.inspect(txn.db, id)
            self._run(txn, info)
            txn.db.run("delete_transaction", id=id)
        return info

    def batch(self, requests: list[Any], mark: Mark) -> Any:
        """Do requests in a transaction that is never open; return its TransactionInfo."""
        info = _new_info(self._clock.now())
        info.requests.extend(requests)
        with self._transactions.start(commit_set=info.transaction.id) as txn:
            txn.mark = mark
            self._run(txn, info)
        return info

    def _append(self, id: str, request: Any) -> Any:
        with self._lock:
            with self._database.read() as db:
                info = self.inspect(db, id)
            info.requests.append(request)
            with self._transactions.start(commit_set=id, is_dry_run=True) as txn:
                self._run(txn, info)
            info.version += 1
            with self._database.write() as db:
                self.inspect(db, id)  # it may have been deleted meanwhile
                db.run("set_transaction", id=id, info=info.SerializeToString())
        return info

    def _run(self, txn: Transaction, info: Any) -> None:
        """Do the requests of a transaction in order, and put their responses into it."""
        del info.responses[:]
        for number, request in enumerate(info.requests, 1):
            fields = request.ListFields()
            try:
                if not fields or fields[0][0].name not in self.acts:
                    raise Refused("unrecognized transaction request type")
                field, message = fields[0]
                answer = self.acts[field.name](txn, message)
            except PachletError as error:
                text = f"error running request {number} of {len(info.requests)}: {error}"
                raise type(error)(text, hint=error.hint) from None
            response = info.responses.add()
            if field.name == "start_commit":
                response.commit.CopyFrom(answer)


def active_transaction(context: Context) -> str:
    """Return the id of the transaction that a caller is in, or ''."""
    ids = [str(value) for key, value in context.invocation_metadata() if key == KEY]
    if len(ids) > 1:
        raise InvalidArgument("multiple active transactions found in context")
    return ids[0] if ids else ""


def _new_info(now: int) -> Any:
    return messages.make(
        "transaction_v2.TransactionInfo",
        transaction=messages.make("transaction_v2.Transaction", id=new_id()),
        started=messages.timestamp(now),
    )
