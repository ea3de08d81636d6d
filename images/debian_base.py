"""Make a stand-in for python:3.11-slim-bookworm of Debian's own packages, where no registry can be reached.

Debian 12's Python is a 3.11 too, so the same pinned wheels go on top of it. Two things are made like the
original: the names `python` and `pip` work, and pip may install beside Debian's packages (PEP 668's marker goes),
so that one Dockerfile serves both bases.

Read next: build.py (who uses it), base-python/Dockerfile (what is built on it).
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from datetime import date
from pathlib import Path

from pachlet.config import default_envs
from pachlet.errors import NotFound, Unavailable
from pachlet.worker.containers.engine import Engine, engine_errors
from pachlet.worker.containers.images import inspect

REPOSITORY, TAG = "docker.io/library/python", "3.11-slim-bookworm"
"""The name that the Dockerfile of the lowest base asks for."""

_COMMAND = (
    "mmdebstrap",
    "--quiet",
    "--variant=minbase",
    '--aptopt=Acquire::Retries "3"',
    "--include=python3,python3-pip,python-is-python3,ca-certificates",
    '--customize-hook=rm "$1"/usr/lib/python3.11/EXTERNALLY-MANAGED',
    "bookworm",
)
_OUTPUT_LINES = 5


def import_debian_base(engine: Engine, say: Callable[[str], None]) -> None:
    """Give the engine the base under the name that Dockerfiles ask for, unless it has an image of that name.

    Raises:
        NotFound: mmdebstrap is not installed.
        Unavailable: Debian's packages can't be had.
        FailedPrecondition: the engine refused.
    """
    name = f"{REPOSITORY}:{TAG}"
    if inspect(engine, name) is not None:
        say(f"{name} is there already, and is used as it is")
        return
    with engine_errors(f"to import {name}"):
        said = engine.api.import_image_from_file(str(base_tar(say)), repository=REPOSITORY, tag=TAG)
        # The last line says the image's id. Podman's service gives it the tag `latest`, whatever it is asked for.
        made = json.loads(said.strip().splitlines()[-1])["status"]
        engine.api.tag(made, REPOSITORY, TAG, force=True)


def base_tar(say: Callable[[str], None]) -> Path:
    """Return the file system as a tar file, made once by this recipe and kept in the user's cache."""
    key = hashlib.sha256("\n".join(_COMMAND).encode()).hexdigest()[:16]
    kept = default_envs().parent / "bases" / f"bookworm-{key}.tar"
    if kept.exists():
        made = date.fromtimestamp(kept.stat().st_mtime)
        say(f"the base is of {made}; remove {kept} to have it made anew")
        return kept
    if not shutil.which("mmdebstrap"):
        raise NotFound(
            "there is no mmdebstrap, which makes a base image of Debian's packages",
            hint="apt-get install mmdebstrap debian-archive-keyring",
        )
    say("making a base image of Debian's packages with mmdebstrap")
    kept.parent.mkdir(parents=True, exist_ok=True)
    new = kept.with_name(f"new-{kept.name}")
    done = subprocess.run([*_COMMAND, str(new)], capture_output=True, text=True, check=False)
    if done.returncode:
        new.unlink(missing_ok=True)
        tail = "\n".join(f"  {line}" for line in done.stderr.strip().splitlines()[-_OUTPUT_LINES:])
        raise Unavailable(f"mmdebstrap failed:\n{tail}", hint="can this machine reach deb.debian.org?")
    new.rename(kept)
    return kept
