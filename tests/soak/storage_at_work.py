"""Work on a data directory until killed: `python -m tests.soak.storage_at_work FOLDER` forks one worker per line.

Each line of its input is a seed; the answer is the worker's process id, then what it does: a JSON line before
and one after each operation. The process itself stays small and without threads, so forking is cheap and safe.

Read next: test_kills_storage.py (who kills, and what must be there then).
"""

from __future__ import annotations

import json
import os
import random
import sys
import traceback
from pathlib import Path

from tests.pfs_rooms import Rooms

REPOS = ("a", "b", "c")
PACK_SIZE = 30_000


def content(number: int) -> bytes:
    """Return the bytes of a numbered content: some small, some large, some that compress."""
    if number % 7 == 0:
        return b"%d " % number * 300
    return random.Random(number).randbytes(50 + number % 40 * 400)


def work(folder: Path, seed: int, say: int) -> None:
    """Do one operation after the other, until killed."""
    chance = random.Random(seed)
    rooms = Rooms(folder, PACK_SIZE)
    with rooms.database.read() as db:
        there = {row["name"] for row in db.all("all_repos")}
    is_open = {name: name in there and has_open_head(rooms, name) for name in REPOS}

    def tell(*words: object) -> None:
        os.write(say, (json.dumps(words) + "\n").encode())

    while True:
        name = chance.choice(REPOS)
        kind = chance.choices(["put", "start", "finish", "delete", "gc"], [10, 3, 3, 1, 2])[0]
        if name not in there:
            kind = "create"
        if kind in ("start", "finish") and is_open[name] == (kind == "start"):
            kind = "put"
        files = {f"/{chance.randrange(5)}": chance.randrange(60) for _ in range(chance.randrange(1, 5))}
        tell("begin", kind, name, files)
        if kind == "put":
            rooms.put(name, [(path, content(number)) for path, number in files.items()])
        elif kind == "start":
            rooms.start(name)
        elif kind == "finish":
            rooms.finish(name)
        elif kind == "create":
            rooms.create_repo(name)
            there.add(name)
        elif kind == "delete":
            rooms.delete_repo(name)
            there.discard(name)
        else:
            rooms.collect(slack=chance.choice([0.0, 0.2]))
        is_open[name] = kind == "start" or (is_open[name] and kind not in ("finish", "delete"))
        head = rooms.head(name).commit.id if kind in ("put", "start", "finish") else ""
        tell("done", kind, name, files, head)


def has_open_head(rooms: Rooms, name: str) -> bool:
    """Tell whether a repo's master has a head that is open."""
    try:
        return rooms.head(name).is_open
    except Exception as error:
        if "not found" in str(error):
            return False
        raise


def main() -> None:
    folder = Path(sys.argv[1])
    for line in sys.stdin:
        process = os.fork()
        if process == 0:
            try:
                work(folder, int(line), sys.stdout.fileno())
            finally:  # whatever went wrong: never on into the loop of the parent
                traceback.print_exc()
                os._exit(1)
        os.write(sys.stdout.fileno(), b"%d\n" % process)
        _, status = os.waitpid(process, 0)
        how = "killed" if os.WIFSIGNALED(status) else "failed"
        os.write(sys.stdout.fileno(), f"{how}\n".encode())


if __name__ == "__main__":
    main()
