"""The logbook: lines keep their order, and none is left behind."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pachlet.clock import FakeClock
from pachlet.metadb.connect import Database
from pachlet.pps.logbook import Logbook, Source

SOURCE = Source(pipeline=1, job="job")


class SlowDatabase(Database):
    """A database whose first write waits until it may go on."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.reached, self.may_go_on = threading.Event(), threading.Event()

    @contextlib.contextmanager
    def write(self) -> Iterator[Any]:
        if not self.reached.is_set():
            self.reached.set()
            self.may_go_on.wait(10)
        with super().write() as db:
            yield db


def messages(database: Database) -> list[str]:
    with database.read() as db:
        values = {"pipeline": 1, "job": "job", "datum": "", "is_master": None, "since": 0}
        return [row["message"] for row in db.all("read_logs", above=0, number=-1, **values)]


def test_later_flush_does_not_overtake_an_earlier_one(tmp_path: Path) -> None:
    database = SlowDatabase(tmp_path / "pachlet.db")
    logbook = Logbook(database, FakeClock())
    logbook.user(SOURCE, "first")
    assert database.reached.wait(10)  # the logbook's own thread holds the first line now
    logbook.user(SOURCE, "second")
    flush = threading.Thread(target=logbook.flush)
    flush.start()
    flush.join(0.05)
    assert flush.is_alive()
    database.may_go_on.set()
    flush.join()
    assert messages(database) == ["first", "second"]
    logbook.close()
    database.close()


def test_close_writes_what_is_left(tmp_path: Path) -> None:
    database = Database(tmp_path / "pachlet.db")
    logbook = Logbook(database, FakeClock())
    for number in range(2500):  # more than are kept in memory
        logbook.worker(SOURCE, str(number))
    logbook.close()
    assert messages(database) == [str(number) for number in range(2500)]
    database.close()
