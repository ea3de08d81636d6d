"""Work on a data directory until killed: `python -m tests.soak.storage_at_work FOLDER` forks one worker per line.

Each line of its input is a seed; the answer is the worker's process id, then what it does: a JSON line before
and one after each operation. The process itself stays small and without threads, so forking is cheap and safe.
Transactions and backups go through the services that answer them, without gRPC between.

Read next: storage_model.py (what an operation comes to), test_kills_storage.py (who kills, and what must be there).
"""

from __future__ import annotations

import faulthandler
import json
import os
import random
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pachlet.api.open_transactions import KEY, OpenTransactions
from pachlet.api.storage_service import StorageService
from pachlet.client.backup import back_up
from pachlet.clock import Clock
from pachlet.config import DataDir
from pachlet.paths import Branch
from pachlet.pfs import commits, index, squashing
from pachlet.pfs.marks import NOBODY
from pachlet.pfs.restoring import restore
from pachlet.pfs.transactions import Transaction
from pachlet.wire import schema
from tests.pfs_rooms import Rooms, repo
from tests.soak.storage_model import BACKUP, DATA, RESTORED, Model, Operation

REPOS = ("a", "b", "c")
PACK_SIZE = 30_000
index._FEW_ROWS = 1  # so that kills fall between a put's transactions
KINDS = {
    "put": 10,
    "put beside gc": 3,
    "start": 3,
    "finish": 3,
    "transaction": 3,
    "squash": 3,
    "drop": 2,
    "clear": 1,
    "copy": 2,
    "delete": 1,
    "gc": 2,
    "backup": 2,
    "restore": 1,
}


def content(number: int) -> bytes:
    """Return the bytes of a numbered content: some small, some large, some that compress."""
    if number % 7 == 0:
        return b"%d " % number * 300
    return random.Random(number).randbytes(50 + number % 40 * 400)


class Caller:
    """Stands for gRPC's context, and for a connection to the service that makes backups."""

    def __init__(self, transaction: str = "", service: StorageService | None = None) -> None:
        self._metadata = ((KEY, transaction),) if transaction else ()
        self._service = service
        self.address = "here"

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return self._metadata

    def call(self, service: str, method: str, request: dict[str, Any]) -> Iterator[Any]:
        return getattr(self._service, method)(schema.message(f"pachlet.v1.{method}Request")(**request), self)


class Worker:
    """Does one operation after the other."""

    def __init__(self, folder: Path, seed: int, say: int) -> None:
        self._chance = random.Random(seed)
        self._folder = folder
        self._say = say
        self.rooms = Rooms(folder / DATA, PACK_SIZE)
        with self.rooms.database.write() as db:
            db.run("put_setting", key="cluster_id", value="the same after each kill")
        (folder / DATA / "scratch").mkdir(exist_ok=True)
        (folder / DATA / "code").mkdir(exist_ok=True)
        self._open = OpenTransactions(self.rooms.database, self.rooms.transactions, Clock())
        self._open.acts.update(start_commit=self._start_commit)
        rooms = self.rooms
        self._service = StorageService(DataDir(folder / DATA), rooms.database, rooms.store, rooms.purger)

    def work(self, model: Model) -> None:
        """Work until killed."""
        while True:
            operation = self._choose(model)
            self._tell("begin", operation)
            operation["head"] = self._do(operation)
            self._tell("done", operation)
            model.apply(operation)

    def _choose(self, model: Model) -> Operation:
        chance = self._chance
        name = chance.choice(REPOS)
        kind = chance.choices(list(KINDS), list(KINDS.values()))[0]
        if name not in model.repos:
            kind = "create"
        files = {f"/{chance.randrange(5)}": chance.randrange(60) for _ in range(chance.randrange(1, 5))}
        operation: Operation = {"kind": kind, "name": name, "files": files, "head": ""}
        if kind in ("transaction", "copy"):
            others = [each for each in model.repos if each != name]
            operation["other"] = chance.choice(others) if others else ""
        if kind in ("squash", "drop"):
            operation["id"] = chance.choice([*model.repos[name], ""])
        if not model.allows(operation):
            operation["kind"] = "put"
        return operation

    def _do(self, operation: Operation) -> str:
        """Do an operation; return the id of the head that its repo has then."""
        kind, name = operation["kind"], operation["name"]
        getattr(self, f"_{kind.replace(' ', '_')}")(operation)
        if kind in ("create", "delete", "gc", "backup", "restore"):
            return ""
        return self.rooms.head(name).commit.id

    def _create(self, operation: Operation) -> None:
        self.rooms.create_repo(operation["name"])

    def _delete(self, operation: Operation) -> None:
        self.rooms.delete_repo(operation["name"])

    def _put(self, operation: Operation) -> None:
        files = [(path, content(number)) for path, number in operation["files"].items()]
        self.rooms.put(operation["name"], files)

    def _put_beside_gc(self, operation: Operation) -> None:
        collecting = threading.Thread(target=self._gc, args=(operation,))
        collecting.start()
        self._put(operation)
        collecting.join()

    def _start(self, operation: Operation) -> None:
        self.rooms.start(operation["name"])

    def _finish(self, operation: Operation) -> None:
        self.rooms.finish(operation["name"])

    def _clear(self, operation: Operation) -> None:
        with self.rooms.transactions.start() as txn:
            squashing.clear_commit(txn, self.rooms.head(operation["name"]))

    def _transaction(self, operation: Operation) -> None:
        """Open a commit in two repos, or in neither."""
        id = self._open.start().transaction.id
        for name in (operation["name"], operation["other"]):
            branch = {"repo": {"name": name, "type": "user"}, "name": "master"}
            request = schema.message("pfs_v2.StartCommitRequest")(branch=branch)
            self._open.write(Caller(id), "start_commit", request)  # type: ignore[arg-type]
        self._open.finish(id, NOBODY)

    def _squash(self, operation: Operation) -> None:
        with self.rooms.transactions.start() as txn:
            squashing.squash_commit(txn, self._commit(txn, operation), is_recursive=False)

    def _drop(self, operation: Operation) -> None:
        with self.rooms.transactions.start() as txn:
            squashing.drop_commit(txn, self._commit(txn, operation), is_recursive=False)

    def _copy(self, operation: Operation) -> None:
        upload = self.rooms.upload()
        source = self.rooms.head(operation["other"])
        upload.copy(self.rooms.files.open_finished(source.root), "/", "/copy", append=False)
        self.rooms.write(operation["name"], upload)

    def _gc(self, operation: Operation) -> None:
        self.rooms.collect(slack=0.0 if len(operation["files"]) % 2 else 0.2)

    def _backup(self, operation: Operation) -> None:
        back_up(Caller(service=self._service), self._folder / BACKUP, lambda total: lambda count: None)  # type: ignore[arg-type]

    def _restore(self, operation: Operation) -> None:
        if (self._folder / RESTORED).exists():
            (self._folder / RESTORED).rename(self._folder / "discarded")  # at once, for it may be looked at
        shutil.rmtree(self._folder / "discarded", ignore_errors=True)
        restored = restore(self._folder / BACKUP, self._folder / RESTORED, lambda step, done, total: None)
        assert not restored.faults

    def _start_commit(self, txn: Transaction, request: Any) -> Any:
        record = commits.start_commit(txn, Branch(repo(request.branch.repo.name), request.branch.name))
        return schema.message("pfs_v2.Commit")(id=record.commit.id)

    def _commit(self, txn: Transaction, operation: Operation) -> Any:
        with self.rooms.database.read() as db:
            return commits.inspect_commit(db, commits.Commit(repo(operation["name"]), operation["id"]))

    def _tell(self, when: str, operation: Operation) -> None:
        os.write(self._say, (json.dumps([when, operation]) + "\n").encode())


def main() -> None:
    folder = Path(sys.argv[1])
    faulthandler.register(signal.SIGUSR1)  # where does it hang?
    for line in sys.stdin:
        seed, model = json.loads(line)
        process = os.fork()
        if process == 0:
            try:
                Worker(folder, seed, sys.stdout.fileno()).work(Model.decode(model))
            finally:  # whatever went wrong: never on into the loop of the parent
                traceback.print_exc()
                os._exit(1)
        os.write(sys.stdout.fileno(), b"%d\n" % process)
        _, status = os.waitpid(process, 0)
        how = "killed" if os.WIFSIGNALED(status) else "failed"
        os.write(sys.stdout.fileno(), f"{how}\n".encode())


if __name__ == "__main__":
    main()
