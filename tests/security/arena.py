"""A server with things around it that a step must not get at, and a step that tries to: as root or an ordinary user.

The server is a process of its own, because it may be another user's. Beside it are a program of the same user (with a
mark in its environment, a key in the user's keyring), sockets of all kinds, a file in the user's home, and a second
pipeline whose datum stays in hand for as long as the attacks go on.

Read next: attacks.py (what is tried), test_sandbox.py (what must come of it).
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shlex
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pachlet.client import datums, repos
from pachlet.client.connection import Connection
from pachlet.client.logs import get_logs
from pachlet.client.pipelines import create_pipeline
from tests.acceptance.words import PPS, create, pfs_input, put, shell, tree
from tests.security.excess import DISK, MEMORY, OUTLIVING, PROGRAMS

ROOT = Path(__file__).parents[2]
ATTACKS = Path(__file__).with_name("attacks.py")
NOBODY = 65534
SERVE = "import sys; from pachlet.cli.main import main; sys.exit(main())"
MARK = "a-mark-that-nobody-may-see"
BYSTANDER = """
import ctypes, os, signal, sys
libc = ctypes.CDLL(None)
number = {"x86_64": 248}.get(os.uname().machine, 217)
libc.syscall(ctypes.c_long(number), b"user", sys.argv[1].encode(), b"the key's value", 15, -4)
print(os.getpid(), flush=True)
signal.pause()
"""
_OPEN_THE_WAY = """
hold=$1 user=$2; shift 2
while [ "$1" != -- ]; do
  mkdir -p "$hold"
  mount --bind "$2" "$hold"
  mount -t tmpfs -o mode=755 none "$1"
  mkdir -p "$2"
  mount --move "$hold" "$2"
  shift 2
done
shift
exec setpriv --reuid "$user" --regid "$user" --clear-groups -- "$@"
"""
"""Become another user, for whom the interpreter lies in a home that is closed to him: in this process' eyes only, it is
an empty folder with nothing but the interpreter in it."""


_MOUNT = """
mkdir -p "$1"
mount -t tmpfs none "$1"
shift
exec "$@"
"""


@dataclass(frozen=True)
class Someone:
    """Who runs a program: we, or, where we are root, another."""

    uid: int
    hold: Path

    def command(self, words: Sequence[str]) -> list[str]:
        """Return how to start a program as this user."""
        if self.uid == os.geteuid():
            return list(words)
        ways = [word for need in (Path(sys.base_prefix), ROOT) for word in _way(need)]
        begin = ["unshare", "--mount", "--propagation", "private", "sh", "-euc", _OPEN_THE_WAY, "sh"]
        return [*begin, str(self.hold), str(self.uid), *ways, "--", *words]


def _way(need: Path) -> list[str]:
    """Return the folder above that keeps others out, if any, and what they need in it."""
    for above in reversed(need.parents):
        if not above.stat().st_mode & 0o001:
            return [str(above), str(need)]
    return []


class Arena:
    """A server, its surroundings, and what can be tried there."""

    def __init__(self, stack: ExitStack, uid: int, runner: str, more: Mapping[str, str]) -> None:
        self._stack = stack
        self.runner = runner
        self._count = 0
        # Not in pytest's own folder, which is closed to other users.
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pachlet-arena-")))
        self.folder.chmod(0o755)
        self.who = Someone(uid, self.folder / "hold")
        self.home, self.data_dir = self.folder / "home", self.folder / "home" / "data"
        self.home.mkdir(0o755)
        key = self.home / ".ssh" / "id"
        key.parent.mkdir(0o700)
        key.write_text("a private key")
        key.chmod(0o600)
        for each in (self.home, key.parent, key):
            os.chown(each, uid, uid)
        self.environ = {
            **os.environ,
            **more,
            "HOME": str(self.home),
            "XDG_CACHE_HOME": str(self.home / "cache"),
            "AWS_SECRET_ACCESS_KEY": MARK,
        }
        self.server = self._serve()
        self.address = self._address
        self.connection = stack.enter_context(Connection(self.address))
        self._surroundings()

    def start(self, words: Sequence[str], **more: Any) -> subprocess.Popen[str]:
        """Start a program as the server's user; it ends with the arena."""
        process = subprocess.Popen(
            self.who.command(words), cwd=ROOT, env=self.environ, text=True, stdout=subprocess.PIPE, **more
        )
        self._stack.callback(_end, process)
        return process

    def _serve(self) -> subprocess.Popen[str]:
        words = [sys.executable, "-c", SERVE, "serve", "--data-dir", str(self.data_dir), "--port", "0"]
        more = [
            "--workers",
            "2",
            "--runner",
            self.runner,
            "--code",
            str(ROOT),
            "--envs",
            str(self.home / "envs"),
        ]
        server = self.start([*words, *more], stderr=subprocess.PIPE)
        assert server.stderr is not None
        said = server.stderr.readline()
        self._address = said.removeprefix("pachlet serves on ").partition(",")[0]
        assert said.startswith("pachlet serves on "), said + server.stderr.read()
        threading.Thread(target=server.stderr.read, daemon=True).start()
        return server

    def _surroundings(self) -> None:
        connection = self.connection
        secret = {"metadata": {"name": "theirs"}, "stringData": {"password": f"{MARK}-2"}}
        connection.call(PPS, "CreateSecret", {"file": json.dumps(secret).encode()})
        repos.create_repo(connection, "theirs")
        put(connection, "theirs@master", {"/data": "theirs alone"})
        given = [{"name": "theirs", "key": "password", "env_var": "PASSWORD", "mount_path": "/their-secret"}]
        spec = shell(
            "other",
            "echo up; exec sleep 1000",
            pfs_input("theirs"),
            transform={**self.image, "secrets": given},
        )
        create_pipeline(connection, spec)
        for line in get_logs(connection, pipeline="other", follow=True):
            assert "failed" not in line.message
            if line.message == "up":
                break
        repos.create_repo(connection, "in")
        bystander = self.start([sys.executable, "-c", BYSTANDER, f"{MARK}-key"])
        assert bystander.stdout is not None
        pid = int(bystander.stdout.readline())
        (their_data,) = (self.data_dir / "scratch").rglob("theirs/data")
        (pack, *_) = [each for each in (self.data_dir / "packs").rglob("*") if each.is_file()]
        _, port = self.address.rsplit(":", 1)
        self.targets = {
            "read the store": str(pack),
            "read the database": str(self.data_dir / "pachlet.db"),
            "read another pipeline's input": str(their_data),
            "read a file of the server's user": str(self.home / ".ssh" / "id"),
            "read the passwords of the machine": "/etc/shadow",
            "read the store by its handle": _handle(pack),
            "near the store": str(self.data_dir),
            "read the server's environment": MARK,
            "read another pipeline's secret": f"{MARK}-2",
            "find another pipeline's secret in a file": f"{MARK}-2",
            "secret file": "/their-secret/password",
            "reach the server's port": int(port),
            "read another pipeline's input by way of a process's root": str(their_data),
            "engine": os.environ.get("DOCKER_HOST", "").removeprefix("unix://"),
            **self._listen(),
            "bystander": pid,
            "mark of the bystander": f"{MARK}-key",
            "read a key of the server's user": f"{MARK}-key",
            "open a disk": _disk(),
            "input": "/pfs/in/targets.json",
            "below /pfs": "/pfs",
            "mount": "/pfs/out",
        }

    @property
    def image(self) -> dict[str, str]:
        return {"image": "docker.io/library/python:3.11-slim-bookworm"} if self.runner == "container" else {}

    def _listen(self) -> dict[str, object]:
        tcp = self._stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        datagrams = self._stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        datagrams.bind(("127.0.0.1", 0))
        abstract, path = f"\0{self.folder.name}", str(self.folder / "socket")
        found: dict[str, object] = {
            "reach another program's port": tcp.getsockname()[1],
            "send a datagram": datagrams.getsockname()[1],
            "reach an abstract socket": abstract.replace("\0", "@"),
            "reach a socket in a folder": path,
        }
        with contextlib.suppress(OSError):
            tcp6 = self._stack.enter_context(socket.create_server(("::1", 0), family=socket.AF_INET6))
            found["reach another program's port over IPv6"] = tcp6.getsockname()[1]
        threading.Thread(target=_echo, args=(datagrams,), daemon=True).start()
        for address in (abstract, path):
            listener = self._stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(address)
            listener.listen()
            threading.Thread(target=_greet, args=(listener,), daemon=True).start()
        os.chmod(path, 0o777)
        return found

    def attack_from_step(self, *names: str, **spec: Any) -> dict[str, dict[str, Any]]:
        """Run attacks, or all of them, in a step; return what came of each."""
        put(
            self.connection,
            "in@master",
            {"/attacks.py": ATTACKS.read_text(), "/targets.json": json.dumps(self.targets)},
        )
        script = f"python3 /pfs/in/attacks.py /pfs/in/targets.json {shlex.join(names)} > /pfs/out/results"
        self._count += 1
        name = f"attacker-{self._count}"
        info = create(
            self.connection, shell(name, script, pfs_input("in", "/"), transform=self.image, **spec)
        )
        assert info.data_processed == 1, info.reason
        return _results(tree(self.connection, f"{name}@master")["/results"])

    def attack_from_outside(self, uid: int, *names: str) -> dict[str, dict[str, Any]]:
        """Run attacks as a user on the machine itself; mounts that root makes are seen by nobody else."""
        targets = self.folder / "targets.json"
        mount = str(self.folder / "mount")
        targets.write_text(json.dumps({**self.targets, "below /pfs": mount, "mount": mount}))
        words = Someone(uid, self.folder / "hold").command(
            [sys.executable, str(ATTACKS), str(targets), *names]
        )
        private = ["unshare", "--mount", "--propagation", "private", "sh", "-euc", _MOUNT, "sh", mount]
        done = subprocess.run(
            [*private, *words] if uid == 0 else words,
            cwd="/",
            env=self.environ,
            capture_output=True,
            text=True,
            check=True,
        )
        return _results(done.stdout)

    def exceed(self) -> dict[str, dict[str, Any]]:
        """Run the greedy steps, each as a datum; return its state, its reason and its log by name."""
        repos.create_repo(self.connection, "programs")
        programs = {f"/{name}": text.replace(OUTLIVING, self._mark) for name, text in PROGRAMS.items()}
        put(self.connection, "programs@master", programs)
        cmd = ["python3", "-c", "import os; exec(open(os.environ['programs']).read())"]
        spec = shell(
            "greedy",
            "",
            pfs_input("programs"),
            transform={**self.image, "cmd": cmd},
            resource_limits={"memory": f"{MEMORY}", "disk": f"{DISK}"},
            datum_timeout="60s",
        )
        info = create(self.connection, spec)
        found: dict[str, dict[str, Any]] = {}
        by_datum = {}
        for each in datums.list_datum(self.connection, f"greedy@{info.job.id}"):
            name = each.data[0].file.path.removeprefix("/")
            by_datum[each.datum.id] = found[name] = {"state": int(each.state), "log": [], "reason": ""}
        for line in get_logs(self.connection, job=f"greedy@{info.job.id}"):
            if line.datum_id:
                told = by_datum[line.datum_id]
                told["log"].append([line.pipeline_name, line.user, line.master, line.message])
                if not line.user and " failed: " in line.message:
                    told["reason"] = line.message.partition(" failed: ")[2]
        return found

    def outliving(self) -> list[int]:
        """Return the processes of greedy steps that are there now."""
        return _called(self._mark)

    @property
    def _mark(self) -> str:
        """The word of greedy steps in this arena: elsewhere on the machine others may be at work."""
        return f"{OUTLIVING}-in-{self.folder.name}"


@contextlib.contextmanager
def arena(uid: int, runner: str, more: Mapping[str, str] = {}) -> Iterator[Arena]:
    """Give an arena whose server runs as a user, and with a runner."""
    with ExitStack() as stack:
        yield Arena(stack, uid, runner, more)


def _called(word: str) -> list[int]:
    """Return the processes of this machine that were started with a word as their last."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if path.read_text(errors="replace").rstrip("\0").endswith(word):
                found.append(int(path.parent.name))
    return found


def _results(text: str) -> dict[str, dict[str, Any]]:
    found = [json.loads(line) for line in text.splitlines()]
    return {each["attack"]: each for each in found}


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    process.communicate(timeout=60)


def _echo(datagrams: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            text, sender = datagrams.recvfrom(10)
            datagrams.sendto(text, sender)


def _greet(listener: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            with listener.accept()[0] as client:
                client.sendall(b"hello")


def _handle(path: Path) -> list[object]:
    """Return what stands for a file in its file system: a type, and bytes as hexadecimal digits."""
    record = ctypes.create_string_buffer(b"\x80\0\0\0" + bytes(132), 136)
    mount = ctypes.c_int()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.name_to_handle_at(-100, os.fsencode(path), record, ctypes.byref(mount), 0) != 0:
        return [0, ""]
    length = int.from_bytes(record.raw[:4], sys.byteorder)
    return [int.from_bytes(record.raw[4:8], sys.byteorder), record.raw[8 : 8 + length].hex()]


def _disk() -> str:
    return next((str(each) for each in sorted(Path("/dev").iterdir()) if each.is_block_device()), "/dev/sda")
