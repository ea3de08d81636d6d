"""Make the data directory of this format that later versions must be able to read: `python -m tests.formats.make`.

To be run when a format is new, and its result committed. A format that has landed in a release is never made
again: what it looked like then is the point. `--again` is for a format that has not.

Read next: test_formats.py (what is read back), pachlet/metadb/upgrading.py.
"""

from __future__ import annotations

import argparse
import hashlib
import tarfile
import tempfile
from pathlib import Path

from pachlet import testing
from pachlet.client import branches, commits, projects, repos
from pachlet.client.connection import Connection
from pachlet.client.put_file import from_bytes, put_file
from pachlet.metadb.connect import FORMAT
from tests.acceptance.words import create, pfs_input, shell

FOLDER = Path(__file__).parent
BIG = b"0123456789abcdef" * (1 << 22)
"""Long enough that its chunks have a list of their own; its many equal chunks take next to no space."""


def noise(seed: int, size: int) -> bytes:
    """Return bytes that no compression makes smaller, and that no version of Python makes other."""
    return b"".join(hashlib.sha256(b"%d %d" % (seed, i)).digest() for i in range(size // 32 + 1))[:size]


COMMITS: list[dict[str, bytes]] = [
    {"/a": b"one\n", "/dir/b": noise(1, 3000), "/dir/empty": b""},
    {"/a": b"two\n", "/big": BIG},
    {f"/many/{i:03}": b"%d\n" % i for i in range(300)},
]
"""What each commit of repo `data` puts."""
OPEN = {"/open/file": noise(2, 500)}
"""What is written to the commit that stays open."""


def fill(connection: Connection) -> None:
    """Put something of every kind into an empty server."""
    projects.create_project(connection, "other", description="another project")
    repos.create_repo(connection, "data", description="ünïcode")
    for files in COMMITS:
        put_file(connection, "data@master", [from_bytes(path, data) for path, data in files.items()])
    branches.create_branch(connection, "data@old", head="data@master^2")
    repos.create_repo(connection, "deleted")
    put_file(connection, "deleted@master", [from_bytes("/gone", noise(3, 200))])
    repos.delete_repo(connection, "deleted")
    job = create(connection, shell("count", "wc -l < /pfs/data/a > /pfs/out/lines", pfs_input("data", "/a")))
    assert job.data_processed == 1, job
    repos.create_repo(connection, "opened")
    commits.start_commit(connection, "opened@master")
    put_file(connection, "opened@master", [from_bytes(path, data) for path, data in OPEN.items()])


def main() -> None:
    """Write format_N.tar.gz."""
    parser = argparse.ArgumentParser(description="Make the data directory of the present format.")
    parser.add_argument(
        "--again", action="store_true", help="replace one that is there (never after a release)"
    )
    target = FOLDER / f"format_{FORMAT}.tar.gz"
    if target.exists() and not parser.parse_args().again:
        raise SystemExit(f"{target} is there already")
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "data")
        with testing.server(data) as server, Connection(server.address) as connection:
            fill(connection)
        with tarfile.open(target, "w:gz") as archive:
            for path in sorted(data.rglob("*")):
                name = path.relative_to(data)
                if path.is_file() and name.parts[0] not in ("scratch", "nonces") and name.name != "lock":
                    archive.add(path, str(name))
    print(f"{target}: {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
