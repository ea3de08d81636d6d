"""Stand in for an image that is no folder of images/: the machine's own programs.

Every client's examples name images such as ubuntu:20.04 or alpine. Without a container engine their
commands run on this machine's own userland, read-only. That is not the image they name, so it is said in
a warning, and the digest says what it was instead: the operating system, its packages and the names of
the programs on the path.

Read next: images.py (the other kind), sandbox.py (which parts of the machine a step sees).
"""

from __future__ import annotations

import functools
import hashlib
import os
import platform
from collections.abc import Mapping
from pathlib import Path

from pachlet.worker.interface import Image

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""The folders in which a step's commands are looked for, as in the images of the common distributions."""

_RELEASE = "/etc/os-release"
_PACKAGE_LISTS = ("/var/lib/dpkg/status", "/var/lib/rpm/rpmdb.sqlite", "/lib/apk/db/installed")


def host_image(reference: str) -> Image:
    """Return what this machine offers in place of the image `reference`."""
    facts = dict(_facts(tuple(map(_stamp, [_RELEASE, *_PACKAGE_LISTS, *PATH.split(":")]))))
    name = facts["os"]
    digest = hashlib.sha256(repr(sorted(facts.items())).encode()).hexdigest()
    return Image(
        reference=reference,
        digest=f"sha256:{digest}",
        kind="host",
        provenance=facts,
        warning=warning_of(reference, name),
    )


def warning_of(reference: str, os_name: str) -> str:
    """Say what runs in place of the image `reference` on a machine with an operating system."""
    return (
        f"image {reference} is no folder of images/: its command runs on this machine's own programs "
        f"({os_name}), read-only, not in that image"
    )


@functools.lru_cache(maxsize=1)
def _facts(stamps: tuple[object, ...]) -> Mapping[str, str]:
    """Return what is known of this machine; each job asks, and it is looked at again when the stamps are others."""
    return {
        "runner": "process",
        "os": _os_name(),
        "machine": platform.machine(),
        "os_release": _sha256(Path(_RELEASE)),
        "packages": "".join(_sha256(Path(path)) for path in _PACKAGE_LISTS),
        "programs": hashlib.sha256("\n".join(_programs()).encode()).hexdigest(),
    }


def _stamp(path: str) -> tuple[int, ...]:
    """Return what changes when a file is written, or a name is made or removed in a folder."""
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _os_name() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return platform.system()


def _sha256(path: Path) -> str:
    """Return the hash of a file, or nothing where this system has no such file."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def _programs() -> list[str]:
    names: list[str] = []
    for folder in PATH.split(":"):
        if os.path.isdir(folder) and not os.path.islink(folder):
            names += sorted(f"{folder}/{name}" for name in os.listdir(folder))
    return names
