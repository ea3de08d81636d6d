"""Message brokers for Celery, each started for a block and gone after it: RabbitMQ, as the seed has it, and redis.

Both are packages of most systems (`apt-get install rabbitmq-server redis-server`); no service manager is needed, and
what one runs already is left alone.

Read next: forecasts.py (who measures Celery with them).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

_SECONDS = 120.0
"""A broker that does not listen after so long does not start here."""
_RABBIT = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""What /usr/sbin/rabbitmq-server calls as another user."""


@dataclass(frozen=True)
class Addresses:
    """Where Celery finds its broker, and where results go."""

    broker: str
    results: str


Broker = Callable[[Path], AbstractContextManager[Addresses]]
"""Starts one with its files in a folder."""


def installed_brokers() -> dict[str, Broker]:
    """Return the brokers that can be started here, by name; say which can't."""
    programs = {"RabbitMQ": _rabbit_program(), "redis": shutil.which("redis-server")}
    for name, program in programs.items():
        if program is None:
            print(f"{name} is not installed here, so Celery is not measured with it", flush=True)
    brokers = {"RabbitMQ": rabbit, "redis": redis}
    return {name: brokers[name] for name, program in programs.items() if program is not None}


@contextlib.contextmanager
def redis(work: Path) -> Iterator[Addresses]:
    """Run redis during the block."""
    port = _free_port()
    words = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(work)]
    with _running(words, port, {}):
        yield Addresses(f"redis://127.0.0.1:{port}/0", f"redis://127.0.0.1:{port}/0")


@contextlib.contextmanager
def rabbit(work: Path) -> Iterator[Addresses]:
    """Run RabbitMQ during the block, with a name server of its own."""
    program = _rabbit_program()
    assert program is not None, "it is installed"
    port, names = _free_port(), _free_port()
    folder = work / "rabbit"
    folder.mkdir()
    environ = {
        "HOME": str(folder),  # where its secret for the cluster goes
        "ERL_EPMD_PORT": str(names),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": f"bench{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(_free_port()),
        "RABBITMQ_MNESIA_BASE": str(folder),
        "RABBITMQ_LOG_BASE": str(folder),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_CONFIG_FILE": str(folder / "none"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
    }
    try:
        with _running([program], port, environ):
            yield Addresses(f"amqp://guest:guest@127.0.0.1:{port}//", "rpc://")
    finally:
        if epmd := shutil.which("epmd"):  # it goes on otherwise
            subprocess.run([epmd, "-port", str(names), "-kill"], capture_output=True, check=False)
        shutil.rmtree(folder)


def _rabbit_program() -> str | None:
    if _RABBIT.exists():
        return str(_RABBIT)
    return shutil.which("rabbitmq-server")


@contextlib.contextmanager
def _running(words: list[str], port: int, environ: dict[str, str]) -> Iterator[None]:
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, env={**os.environ, **environ}) as process:
        try:
            until = time.monotonic() + _SECONDS
            while not _listens(port):
                assert process.poll() is None, f"{words[0]} did not start"
                assert time.monotonic() < until, f"{words[0]} does not listen"
                time.sleep(0.02)
            yield
        finally:
            process.terminate()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as found:
        return found.connect_ex(("127.0.0.1", port)) == 0
