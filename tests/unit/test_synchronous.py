"""grpc without its asynchronous half: what it leaves out, and that whoever wants it has it all the same."""

from __future__ import annotations

import subprocess
import sys

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
print([name for name in sys.modules if name.partition(".")[0] == "asyncio" or name.startswith("grpc.aio")])
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
