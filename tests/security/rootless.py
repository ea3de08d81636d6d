"""A Podman of an ordinary user's, with a base image and a storage of its own: what it is told, as variables.

The user is one that the machine has given no further users (/etc/subuid), so all users of an image are him.

Read next: arena.py (who starts a server with it), ../container_engine.py (root's).
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from images.debian_base import REPOSITORY, TAG, base_tar
from tests.container_engine import SETTINGS, STORAGE, driver_for
from tests.other_user import run_as

_IGNORE = 'ignore_chown_errors = "true"\n'
_SECTION = "[storage.options.vfs]\n"
"""Where that belongs, unless it is the section that the other settings end with."""
_MORE = '[containers]\ndefault_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]\n'


class NoRootlessError(Exception):
    """What Podman said of why it does not work."""


@contextlib.contextmanager
def rootless(uid: int) -> Iterator[Mapping[str, str]]:
    """Give the variables that make Podman work for a user; what it keeps goes after the block.

    Raises:
        NoRootlessError: it does not work here for an ordinary user.
    """
    with tempfile.TemporaryDirectory(prefix="pachlet-rootless-") as name:
        folder = Path(name)
        driver = driver_for(folder)
        settings = STORAGE.format(folder=folder, driver=driver) + (_SECTION if driver == "vfs" else "")
        path = f'[storage]\nrootless_storage_path = "{folder}/root"'  # else it is the home of who asks
        (folder / "storage.conf").write_text(settings.replace("[storage]", path, 1) + _IGNORE)
        (folder / "containers.conf").write_text(_MORE + SETTINGS.format(folder=folder))
        (folder / "runtime").mkdir()
        for path in (folder, *folder.iterdir()):
            os.chown(path, uid, uid)
        told = {
            "CONTAINERS_STORAGE_CONF": f"{folder}/storage.conf",
            "CONTAINERS_CONF": f"{folder}/containers.conf",
            "XDG_RUNTIME_DIR": f"{folder}/runtime",
        }
        try:
            with base_tar(print).open("rb") as tar:
                done = _podman(uid, told, folder, "import", "-", f"{REPOSITORY}:{TAG}", stdin=tar)
            if done.returncode != 0:
                raise NoRootlessError(done.stderr.strip())
            yield told
        finally:
            # It leaves a process behind that holds its user namespace.
            _podman(uid, told, folder, "rm", "--all", "--force")
            _podman(uid, told, folder, "system", "migrate")


def _podman(
    uid: int, told: Mapping[str, str], folder: Path, *words: str, stdin: IO[bytes] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*run_as(uid), "podman", *words],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **told},
        stdin=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
