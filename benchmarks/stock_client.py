"""python-pachyderm, unmodified, in its own environment: one put or get; prints the seconds that it took.

    .venvs/python-pachyderm/bin/python benchmarks/stock_client.py ADDRESS REPO put|get PATH

Read next: bare_sink.py (what it is held against).
"""

import sys
import time
from pathlib import Path

import python_pachyderm


def put(client: python_pachyderm.Client, repo: str, path: Path) -> None:
    """Put a file, in pieces of 19 MiB, or all files of a folder in one stream, each of three messages.

    Not by their paths: it would send them line by line.
    """
    with client.modify_file_client((repo, "master")) as stream:
        if path.is_dir():
            for each in sorted(each for each in path.rglob("*") if each.is_file()):
                stream.put_file_from_bytes(f"/{each.relative_to(path.parent)}", each.read_bytes())
        else:
            stream.put_file_from_fileobj(f"/{path.name}", path.open("rb"))


def get(client: python_pachyderm.Client, repo: str, path: Path) -> None:
    """Read all files of a folder of the head."""
    for member in client.get_file_tar((repo, "master"), str(path)):
        assert member is not None


def main() -> None:
    """Do what the command line says."""
    address, repo, action, path = sys.argv[1:]
    host, _, port = address.partition(":")
    client = python_pachyderm.Client(host=host, port=int(port))
    act = {"put": put, "get": get}[action]
    began = time.perf_counter()
    act(client, repo, Path(path))
    print(time.perf_counter() - began)


if __name__ == "__main__":
    main()
