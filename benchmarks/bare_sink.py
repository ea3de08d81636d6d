"""A server that does nothing with what Pachyderm's clients stream: the limit for anything behind gRPC in Python.

    python -m benchmarks.bare_sink FOLDER ADDRESS_FILE

ModifyFile to the repo `disk` writes the bytes to one file and makes it durable; to any other it only counts them.
GetFileTAR answers with the tar of FOLDER, made before the first call.

Read next: stock_client.py (the client), small_files.py.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc

from pachlet.api.handlers import make_handlers
from pachlet.wire import schema

LIMIT = 20 << 20
BLOCK = 1 << 20


class Sink:
    """Answers the two RPCs."""

    def __init__(self, folder: Path) -> None:
        made = io.BytesIO()
        with tarfile.open(fileobj=made, mode="w", format=tarfile.GNU_FORMAT) as archive:
            archive.add(folder, "/")
        self._tar = made.getvalue()

    def ModifyFile(self, requests: Iterator[Any], context: Any) -> Any:
        first = next(requests)
        if first.set_commit.repo.name == "disk" or first.set_commit.branch.repo.name == "disk":
            with tempfile.TemporaryFile() as out:
                for request in requests:
                    out.write(request.add_file.raw.value)
                out.flush()
                os.fsync(out.fileno())
        else:
            sum(len(request.add_file.raw.value) for request in requests)
        return schema.message("google.protobuf.Empty")()

    def GetFileTAR(self, request: Any, context: Any) -> Iterator[Any]:
        kind = schema.message("google.protobuf.BytesValue")
        for at in range(0, len(self._tar), BLOCK):
            yield kind(value=self._tar[at : at + BLOCK])


def main(folder: Path, told: Path) -> None:
    """Serve until SIGTERM."""
    options = [("grpc.max_receive_message_length", LIMIT), ("grpc.max_send_message_length", LIMIT)]
    server = grpc.server(ThreadPoolExecutor(8), options=options)
    server.add_generic_rpc_handlers(make_handlers({"pfs_v2.API": Sink(folder)}))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    told.write_text(f"127.0.0.1:{port}\n")
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    server.stop(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
