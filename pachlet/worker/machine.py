"""Choose which parts of this machine a step sees, and where its own things are put.

The parts are named one by one: a step needs programs, libraries and a few files of /etc, and must not see
home folders, keys, the store or another datum. Everything here is read-only; the few writable places are in
sandbox.py.

Read next: sandbox.py (how the parts are put together).
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import posixpath
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from pachlet.errors import InvalidArgument
from pachlet.worker.sandbox import Root

_PROGRAMS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store")
_ETC = """
alternatives bash.bashrc ca-certificates ca-certificates.conf debian_version fonts group host.conf hosts
ld.so.cache ld.so.conf ld.so.conf.d localtime magic mime.types nsswitch.conf os-release passwd pki/ca-trust
pki/tls/certs profile protocols services ssl/certs ssl/openssl.cnf terminfo timezone
"""
_DEVICES = ("null", "zero", "full", "random", "urandom")
_LINKS = (
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
    ("/tmp", "/var/tmp"),
)


def make_root(
    at: Path,
    files: Path | None,
    shown: list[Path],
    pfs: Path,
    ids: tuple[int, int] | None,
    network: bool,
    extra: Mapping[str, Path] = MappingProxyType({}),
    *,
    tmp: Path | None = None,
    memory: int | None = None,
    secrets: Iterable[str] = (),
) -> Root:
    """Return the root for a session: the machine's parts, an image's `files` and the datum's `pfs`.

    The places for all these are made in a folder in `at`, once for all roots that have the same ones: nothing is ever
    written there. `shown` are folders that keep their path (an
    interpreter, an environment), `extra` what is seen at the path that is its key; `ids` is who the step seems to
    be, the server's own user if None. `tmp` is shown as /tmp, which is in memory if None. What is in memory may hold
    `memory` bytes. `secrets` are the paths of files.

    Raises:
        InvalidArgument: a secret's folder can't be made where it shall be.
    """
    binds, links = (list(pairs) for pairs in _machine(network))
    kept = [str(folder) for folder in shown if not folder.is_relative_to("/usr")]
    added = {
        target: str(source) for target, source in extra.items() if not Path(target).is_relative_to("/usr")
    }
    if files is not None:
        binds += [(str(source), target) for source, target in _spread(files, "", [*kept, *added])]
    binds += [(folder, folder) for folder in kept if not folder.startswith("/tmp/")]
    binds += [(source, target) for target, source in added.items() if not target.startswith("/tmp/")]
    binds.append((str(pfs), "/pfs"))
    places = _places_of(secrets, [target for _, target in binds])
    folders = ["/tmp", "/dev/shm", "/proc", "/var", *places]
    found = _make_places(at, folders, [(target, os.path.isdir(source)) for source, target in binds], links)
    uid, gid = ids or (os.geteuid(), os.getegid())
    return Root(
        at=found,
        binds=binds,
        below_tmp=[
            *((folder, folder) for folder in kept if folder.startswith("/tmp/")),
            *((source, target) for target, source in added.items() if target.startswith("/tmp/")),
        ],
        writable=[(str(pfs / "out"), "/pfs/out"), *([(str(tmp), "/tmp")] if tmp else [])],
        in_memory=["/dev/shm", *([] if tmp else ["/tmp"])],
        in_memory_size=f",size={memory}" if memory else "",
        uid=uid,
        gid=gid,
    )


def _places_of(secrets: Iterable[str], shown: list[str]) -> list[str]:
    """Return the folders of secrets for which there must be a place in the root."""
    folders = sorted({posixpath.dirname(path) for path in secrets})
    for folder in folders:
        below = next((each for each in (*shown, "/proc") if f"{folder}/".startswith(f"{each}/")), None)
        if (
            below
            or posixpath.normpath(folder) != folder
            or folder in ("/", "//", "/tmp", "/dev", "/etc", "/var")
        ):
            raise InvalidArgument(
                f"transform.secrets: the mount_path {folder} can't be a folder of its own"
                + (f": {below} is shown to the step as it is" if below else ""),
                hint="mount it at /secrets/NAME, for example",
            )
    return [folder for folder in folders if not folder.startswith("/tmp/")]


def _make_places(
    at: Path, folders: list[str], places: list[tuple[str, bool]], links: list[tuple[str, str]]
) -> str:
    """Return a folder in `at` with `folders`, empty files or (True) folders for `places`, and `links` (text, path)."""
    key = hashlib.sha256(json.dumps([folders, places, links]).encode()).hexdigest()[:24]
    made = f"{at}/{key}"
    if os.path.isdir(made):
        return made
    at.mkdir(parents=True, exist_ok=True)
    new = tempfile.mkdtemp(prefix=".new-", dir=at)
    os.chmod(new, 0o755)
    for path in folders:
        os.makedirs(f"{new}{path}", exist_ok=True)
    for path, is_folder in places:
        if is_folder:
            os.makedirs(f"{new}{path}", exist_ok=True)
        else:
            os.makedirs(os.path.dirname(f"{new}{path}"), exist_ok=True)
            open(f"{new}{path}", "a").close()
    for text, path in links:
        os.makedirs(os.path.dirname(f"{new}{path}"), exist_ok=True)
        os.symlink(text, f"{new}{path}")
    try:
        os.rename(new, made)
    except OSError:  # another was faster
        shutil.rmtree(new)
    return made


@functools.cache
def _machine(network: bool) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    binds: list[tuple[str, str]] = []
    links = list(_LINKS)
    for path in [*_PROGRAMS, *(f"/etc/{name}" for name in _ETC.split())]:
        # /bin is a link to usr/bin on most machines, /etc/localtime one to /usr/share: keep them as they are.
        if os.path.islink(path) and os.path.realpath(path).startswith("/usr/"):
            links.append((os.readlink(path), path))
        elif os.path.exists(path):
            binds.append((os.path.realpath(path), path))
    if network and os.path.exists("/etc/resolv.conf"):
        binds.append((os.path.realpath("/etc/resolv.conf"), "/etc/resolv.conf"))
    binds += [(f"/dev/{name}", f"/dev/{name}") for name in _DEVICES]
    return binds, links


def _spread(folder: Path, at: str, kept: list[str]) -> Iterator[tuple[Path, str]]:
    """Bind what is in `folder` as whole as possible, but leave open what one of `kept` has to be put into."""
    for entry in sorted(folder.iterdir()):
        target = f"{at}/{entry.name}"
        if entry.is_dir() and any(place.startswith(f"{target}/") for place in kept):
            yield from _spread(entry, target, kept)
        else:
            yield entry, target
