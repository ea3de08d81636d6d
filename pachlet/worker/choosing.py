"""Choose how steps run here: in containers, or as processes in sandboxes of our own.

The process runner comes first where the kernel lets it make a sandbox: it starts a datum in milliseconds and needs
nothing to be installed. Where there are no namespaces (macOS for one) a container engine, if one answers, is better
than no sandbox at all.

Read next: process.py, containers/runner.py.
"""

from __future__ import annotations

from pathlib import Path

from pachlet.errors import PachletError
from pachlet.worker.interface import Runner
from pachlet.worker.process import ProcessRunner

KINDS = ("auto", "process", "container")


def choose_runner(
    kind: str, code_root: Path, envs: Path, owner: str, *, require_images: bool = False
) -> Runner:
    """Return the runner of a kind; `auto` is whichever isolates steps, the process runner first.

    With `require_images` the process runner refuses images that stand for the machine's own programs.

    Raises:
        FailedPrecondition: containers are asked for, and no engine answers.
    """
    if kind == "container":
        return _containers(code_root, owner)
    processes = ProcessRunner(code_root, envs, require_images=require_images)
    if kind == "process" or not processes.probe():
        return processes
    try:
        chosen = _containers(code_root, owner)
    except PachletError:
        return processes  # it says by itself what it can't do without a sandbox
    processes.close()
    return chosen


def _containers(code_root: Path, owner: str) -> Runner:
    from pachlet.worker.containers.runner import ContainerRunner  # its library is optional

    return ContainerRunner(code_root, owner)
