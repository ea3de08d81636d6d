"""Push an image that the engine holds to a registry, and learn the digest by which it is known there.

That digest, of the image's manifest, is another than the engine's id; it is what pins an image in a spec. A registry on
this machine's loopback is spoken to without TLS, as Docker does by itself.

Read next: building.py (where images come from), ../../remote/shipping.py (who pushes).
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from pachlet.errors import FailedPrecondition
from pachlet.worker.containers.engine import Engine, engine_errors
from pachlet.worker.containers.images import split_name
from pachlet.worker.containers.service import podman_options

_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_HINT = "check the registry's name and your login there (docker login, podman login)"


def push(engine: Engine, source: str, target: str, say: Callable[[str], None]) -> str:
    """Push the engine's image `source` as `target` (`registry/path/name:tag`); return the digest it got there.

    Raises:
        FailedPrecondition: the engine has no such image, or the registry does not take it, with the reason.
    """
    say(f"pushing {target}")
    digest = (_push_by_podman if engine.name == "podman" and engine.program else _push_by_api)(
        engine, source, target
    )
    if not digest.startswith("sha256:"):
        raise FailedPrecondition(f"{target} was pushed, but {engine.name} did not say with which digest")
    return digest


def _push_by_podman(engine: Engine, source: str, target: str) -> str:
    registry = target.partition("/")[0].rpartition(":")[0] or target.partition("/")[0]
    with tempfile.NamedTemporaryFile("r", prefix="pachlet-digest-") as told:
        insecure = ["--tls-verify=false"] if registry in _LOOPBACK else []
        words = ["push", "--quiet", *insecure, "--digestfile", told.name, source, f"docker://{target}"]
        done = subprocess.run(
            [engine.program, *podman_options(), *words], capture_output=True, text=True, check=False
        )
        if done.returncode:
            said = done.stderr.strip().splitlines()
            raise _failure(target, said[-1].removeprefix("Error: ") if said else "no reason was given")
        return Path(told.name).read_text().strip()


def _push_by_api(engine: Engine, source: str, target: str) -> str:
    repository, _, tag = split_name(target)
    digest = problem = ""
    with engine_errors(f"to push {target}"):
        engine.api.tag(source, repository, tag, force=True)
        for line in engine.api.push(repository, tag=tag, stream=True, decode=True):
            problem = str(line.get("error") or problem)
            digest = str((line.get("aux") or {}).get("Digest") or digest)
    if problem:
        raise _failure(target, problem)
    return digest


def _failure(target: str, why: str) -> FailedPrecondition:
    return FailedPrecondition(f"image {target} can't be pushed: {why}", hint=_HINT)
