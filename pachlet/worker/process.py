"""Run images without a container engine: each attempt is a process in a sandbox of its own.

Where the kernel allows no mount namespace, /pfs can't be shown. Then only images that say `ENV PFS_ROOT` run,
from their session's folder and without a sandbox, because they were written for it, and their provenance says
so; all others are refused with the kernel's reason. Nothing else ever runs unsandboxed.

Read next: process_session.py (a worker), launching.py (how a process is started).
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pachlet.errors import FailedPrecondition, NotFound
from pachlet.worker.attempts import ROOT_VARIABLE, Place
from pachlet.worker.cells import Command
from pachlet.worker.environments import make_environment, only_one
from pachlet.worker.hardware import machine_facts
from pachlet.worker.host import PATH
from pachlet.worker.images import Recipe, code_digest
from pachlet.worker.installing import Installer, logged
from pachlet.worker.interface import SERVER_PORT, Image, Prepared, Reach, Transform
from pachlet.worker.launching import Launcher, Walls
from pachlet.worker.limits import means
from pachlet.worker.machine import make_root
from pachlet.worker.nursery import Nursery
from pachlet.worker.process_session import ProcessSession
from pachlet.worker.processes import start
from pachlet.worker.scratch import remove
from pachlet.worker.snapshots import FILES, make_snapshot
from pachlet.worker.volumes import make_volume


class ProcessRunner:
    """The Runner that needs nothing but the kernel (interface.py has the promises)."""

    def __init__(
        self,
        code_root: Path,
        envs: Path,
        *,
        sandbox: bool = True,
        groups: bool = True,
        require_images: bool = False,
        is_probed: bool = False,
    ) -> None:
        """Run code of `code_root` in environments made under `envs`.

        Without `sandbox`, behave as on a machine that allows no mount namespace; without `groups`, as on one
        that has no control groups for us. With `require_images` nothing stands in for an image that can't be had.
        `is_probed`: another runner has seen that this machine allows a sandbox, which is then not tried again.
        """
        self._require_images = require_images
        self._use_groups = groups
        self._code_root = code_root.resolve()
        self._envs = envs.resolve()
        self._lock = threading.Lock()
        self._installer = Installer()
        self.nursery = Nursery()
        """Where processes come from that run the many datums of a lease."""
        self._launcher_now: Launcher | None = None
        self._probed: str | None = "" if is_probed else None
        if not sandbox:
            self._probed = "the server was told to make no sandbox"

    def resolve(self, reference: str) -> Image:
        image = code_digest(reference, self._code_root)
        if image.kind == "host" and self._require_images:
            raise NotFound(
                f"image {reference} can't be had: this server pulls no images, and was told not to run them on the"
                " machine's own programs",
                hint="name a folder of images/ as pachlet/NAME, or start the server without --require-images",
            )
        return image

    def prepare(self, image: Image, snapshot: Path, say: Callable[[str], None]) -> Prepared:
        snapshot = snapshot.resolve()
        recipe = make_snapshot(image, self._code_root, snapshot)
        sandbox = self._choose_sandbox(image, recipe)
        files = snapshot / FILES
        if recipe is None:
            facts = {**image.provenance, **self._facts(sandbox)}
            return Prepared(image, facts, files, env={}, working_dir="/", python=None, environment=None)
        pins = [files / path.lstrip("/") for path in recipe.requirements]
        with logged(image.reference, "environment", say) as tell:
            made = make_environment(recipe.python, pins, self._envs, tell, self._installer)
        facts = {
            **image.provenance,
            **self._facts(sandbox),
            "python_version": made.interpreter.version,
            "packages": list(made.packages),
            "environment": made.digest,
        }
        return Prepared(
            image, facts, files, recipe.env, recipe.working_dir, made.interpreter.prefix, made.folder
        )

    def open(
        self,
        prepared: Prepared,
        transform: Transform,
        folder: Path,
        environ: Mapping[str, str],
        *,
        network: Reach = "none",
        server: str = "",
        shown: Mapping[str, Path] = MappingProxyType({}),
    ) -> ProcessSession:
        problem = self.probe()
        if problem and network == "inner":
            raise FailedPrecondition(
                f"a step can't be reached on this machine: it would need a network of its own; {problem}",
                hint="allow user namespaces",
            )
        folder = folder.resolve()
        place = Place(
            prepared,
            transform,
            folder,
            make_volume() if transform.memory_volume else folder,
            dict(environ),
            network,
            not problem,
            server,
            dict(shown),
            roots=self._envs / "roots",
        )
        return ProcessSession(place, self.launcher)

    def way_to_server(self, server: str, network: Reach) -> str:
        return f"127.0.0.1:{SERVER_PORT}" if network == "inner" else server

    @property
    def description(self) -> str:
        return f"process ({'no sandbox: ' + self.probe() if self.probe() else 'namespaces'})"

    def means(self) -> Mapping[str, str]:
        return means(self.launcher().groups)

    def _facts(self, sandbox: str) -> dict[str, Any]:
        """Return what is recorded of this machine, whatever the image."""
        return {"sandbox": sandbox, "limits": dict(self.means()), "machine": dict(machine_facts())}

    def probe(self) -> str:
        """Return why this machine allows no sandbox, or nothing if it does."""
        if self._probed is None:
            self._envs.mkdir(parents=True, exist_ok=True)
            # One folder for all servers of this user, so that the next one removes what a killed one left.
            with only_one(self._envs / "probe.lock"):
                folder = self._envs / "probe"
                remove(folder)
                try:
                    self._probed = self._try_sandbox(folder)
                finally:
                    remove(folder)
        return self._probed

    def _try_sandbox(self, folder: Path) -> str:
        (folder / "pfs" / "out").mkdir(parents=True)
        root = make_root(folder / "root", None, [], folder / "pfs", None, network=False)
        process = start(self.launcher().open(Walls(root)), Command(["true"], "/", {"PATH": PATH}), None)
        ending = process.watch(lambda line: None, timeout=None)
        assert ending is not None, "without `wake` a process is watched to its end"
        return ending.problem

    def expect(self, transform: Transform) -> None:
        if transform.datum_batching and not self.probe():
            with contextlib.suppress(OSError):  # it is told when one is needed
                self.nursery.get_ready()

    def halt(self) -> None:
        self._installer.halt()

    def close(self) -> None:
        self.nursery.close()
        with self._lock:
            if self._launcher_now is not None:
                self._launcher_now.close()
                self._launcher_now = None

    def _choose_sandbox(self, image: Image, recipe: Recipe | None) -> str:
        problem = self.probe()
        if not problem:
            return "namespaces"
        if recipe is not None and ROOT_VARIABLE in recipe.env:
            return f"none ({problem})"
        raise FailedPrecondition(
            f"image {image.reference} can't run on this machine: without a mount namespace a step can't see "
            f"/pfs; {problem}",
            hint=f"allow user namespaces, or write the step with pachlet.step and ENV {ROOT_VARIABLE}=/pfs",
        )

    def launcher(self) -> Launcher:
        """Return the program that makes sandboxes, which is started where it does not run."""
        with self._lock:
            if self._launcher_now is not None and not self._launcher_now.is_running():
                self._launcher_now.close()
                self._launcher_now = None
            if self._launcher_now is None:
                self._launcher_now = Launcher(groups=self._use_groups)
            return self._launcher_now
