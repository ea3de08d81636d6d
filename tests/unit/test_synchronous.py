"""What is left out of grpc and protobuf, and that whoever wants it has it all the same."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

_IMPORT = """
import sys
from pachlet.client.synchronous import import_grpc
grpc = import_grpc()
assert import_grpc() is grpc
"""


def _printed(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", _IMPORT + code], capture_output=True, text=True, check=True
    ).stdout


def test_half_that_nobody_uses_is_not_imported() -> None:
    code = """
grpc.insecure_channel("127.0.0.1:1").close()
left_out = ("asyncio", "grpc.aio", "inspect", "socket")
print([name for name in sys.modules if name.startswith(left_out)])
"""
    assert _printed(code) == "[]\n"


def test_whoever_imports_that_half_later_has_the_real_one() -> None:
    code = """
import asyncio
from concurrent.futures import ThreadPoolExecutor
import grpc.aio

async def ask():
    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(lambda request, context: request + b"!")
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("s", {"m": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        print(await channel.unary_unary("/s/m")(b"asked"))
        try:
            await channel.unary_unary("/s/none")(b"")
        except grpc.aio.AioRpcError as error:
            print(error.code().name)
    await server.stop(None)

asyncio.run(ask())
print(asyncio.__file__.endswith("asyncio/__init__.py"), sys.modules["grpc.aio"] is grpc.aio)
"""
    assert _printed(code) == "b'asked!'\nUNIMPLEMENTED\nTrue True\n"


def test_what_was_imported_before_stays() -> None:
    code = "import asyncio\nfirst = asyncio\n" + _IMPORT + "print(sys.modules['asyncio'] is first)\n"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "True\n"


MESSAGE = """
import sys
from pachlet.wire import schema
info = schema.message("pfs_v2.CommitInfo")()
info.started.FromSeconds(1)
print("google.protobuf.internal.python_message" in sys.modules, info.started.ToJsonString())
"""


@pytest.mark.parametrize("kind, is_imported", [("upb", False), ("python", True)])
def test_messages_are_made_by_whatever_protobuf_has(kind: str, is_imported: bool) -> None:
    environ = {**os.environ, "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": kind}
    ran = subprocess.run(
        [sys.executable, "-c", MESSAGE], env=environ, capture_output=True, text=True, check=True
    )
    assert ran.stdout == f"{is_imported} 1970-01-01T00:00:01Z\n"


def test_short_command_imports_none_of_what_takes_longer_than_itself() -> None:
    code = """
import sys
from pachlet.cli.main import main
print(main(["list", "repo"]))
print(sorted({"dataclasses", "inspect", "tarfile", "tempfile", "uuid"} & set(sys.modules)), "grpc" in sys.modules)
"""
    environ = {**os.environ, "PACHD_ADDRESS": "127.0.0.1:1"}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
    )
    assert ran.stdout == "1\n[] True\n"
