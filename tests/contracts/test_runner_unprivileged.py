"""The sandbox holds for an ordinary user too, who has no privilege but a user namespace of his own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.other_user import run_as

ROOT = Path(__file__).parents[2]
NOBODY = 65534

# Only the launcher's own needs are imported, so that the system's Python can run this.
SCRIPT = """
import json, sys
from pathlib import Path
from pachlet.worker.cells import Command
from pachlet.worker.launching import Launcher, Walls
from pachlet.worker.machine import make_root
from pachlet.worker.processes import start
folder = Path(sys.argv[1])
(folder / "pfs" / "out").mkdir(parents=True)
(folder / "pfs" / "in").write_text("hello")
root = make_root(folder / "root", None, [], folder / "pfs", None, False)
launcher = Launcher()
lines = []
command = Command(["sh", "-c", sys.argv[2]], "/", {"PATH": "/usr/bin:/bin"})
ending = start(launcher.open(Walls(root)), command, None).watch(lines.append, 60)
launcher.close()
print(json.dumps([ending.code, ending.problem, lines, (folder / "pfs" / "in").read_text()]))
"""


def run_as_nobody(script: str) -> list[object]:
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    if os.geteuid() != 0:
        pytest.skip("not root: the rest of the suite already runs as an ordinary user")
    if python is None:
        pytest.skip("the system has no Python of its own that another user could run")
    asked = [python, "-c", "import sys; print(sys.version_info >= (3, 11))"]
    if subprocess.run(asked, capture_output=True, text=True, check=True).stdout != "True\n":
        pytest.skip("the system's own Python is older than 3.11")
    with tempfile.TemporaryDirectory() as folder:
        code = Path(folder, "code")
        ignore = shutil.ignore_patterns("__pycache__", "*.binpb")
        shutil.copytree(ROOT / "pachlet", code / "pachlet", ignore=ignore)
        for path in [Path(folder), *Path(folder).rglob("*")]:
            path.chmod(0o777)
        done = subprocess.run(
            [*run_as(NOBODY), python, "-W", "error", "-c", SCRIPT, f"{folder}/session", script],
            cwd=code,
            env={"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stderr
    answer: list[object] = json.loads(done.stdout)
    if "can't be made" in str(answer[1]):
        pytest.skip(f"an ordinary user gets no namespaces here: {answer[1]}")
    return answer


def test_an_ordinary_user_gets_the_same_sandbox():
    code, problem, lines, kept = run_as_nobody(
        "exec 2>&1; id -u; cat /pfs/in; echo; echo out > /pfs/out/x && echo written; rm -f /pfs/in; umount /pfs/out;"
        "mount -o remount,rw,bind /pfs; unshare -Ur true; ls /root /home; ls -d /proc/[0-9]* | wc -l"
    )
    assert (code, problem) == (0, "")
    assert lines[:3] == [str(NOBODY), "hello", "written"]
    assert "rm: cannot remove '/pfs/in': Read-only file system" in lines
    assert kept == "hello"
    assert int(lines[-1]) < 10
