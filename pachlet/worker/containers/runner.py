"""The Runner that runs images in containers (../interface.py has the promises).

Read next: images.py (what runs), launcher.py (a worker's container).
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pachlet.errors import FailedPrecondition
from pachlet.worker.attempts import Place
from pachlet.worker.containers import images
from pachlet.worker.containers.box import OWNER_LABEL, Box, door_port
from pachlet.worker.containers.building import build
from pachlet.worker.containers.engine import Engine, engine_errors, find_engine
from pachlet.worker.containers.launcher import ContainerLauncher
from pachlet.worker.containers.session import ContainerSession
from pachlet.worker.environments import pinned
from pachlet.worker.hardware import machine_facts
from pachlet.worker.images import content_tag
from pachlet.worker.installing import Installer, logged
from pachlet.worker.interface import Image, Prepared, Reach, Session, Transform
from pachlet.worker.limits import SAMPLING
from pachlet.worker.snapshots import FILES, make_snapshot
from pachlet.worker.volumes import make_volume


class ContainerRunner:
    """Runs each worker's attempts in a container of its own."""

    def __init__(self, code_root: Path, owner: str, engine: Engine | None = None) -> None:
        """Run images of `code_root` and of registries; `owner` names the data directory.

        Containers that a killed server of the same owner left are removed.

        Raises:
            FailedPrecondition: no engine answers.
        """
        self._code_root = code_root.resolve()
        self._owner = owner
        self.engine = engine or find_engine()
        self._building = threading.Lock()
        self._installer = Installer()
        self._remove_left_over()

    @property
    def description(self) -> str:
        rootless = ", rootless" if self.engine.is_rootless else ""
        return f"container ({self.engine.name} {self.engine.version}{rootless})"

    def resolve(self, reference: str) -> Image:
        return images.resolve(self.engine, reference, self._code_root)

    def prepare(self, image: Image, snapshot: Path, say: Callable[[str], None]) -> Prepared:
        of_code: dict[str, Any] = {}
        if image.kind == "code":
            image, found, of_code = self._build_once(image, snapshot.resolve(), say)
        else:
            image, found = images.ensure(self.engine, image, say)
        config = found.get("Config") or {}
        env = dict(word.split("=", 1) for word in config.get("Env") or [] if "=" in word)
        facts = {
            **image.provenance,
            **images.facts_of(found),
            "sandbox": "container",
            "limits": dict(self.means()),
            "machine": dict(machine_facts()),
            **of_code,
            **({"python_version": env["PYTHON_VERSION"]} if "PYTHON_VERSION" in env else {}),
            "engine": f"{self.engine.name} {self.engine.version}",
        }
        working_dir = config.get("WorkingDir") or "/"
        return Prepared(image, facts, snapshot / FILES, env, working_dir, python=None, environment=None)

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
    ) -> Session:
        folder = folder.resolve()
        volume = make_volume() if transform.memory_volume else folder
        place = Place(
            prepared,
            transform,
            folder,
            volume,
            dict(environ),
            network,
            True,
            server,
            dict(shown),
            roots=folder / "roots",
        )
        folder.mkdir(parents=True, exist_ok=True)
        box = Box(self.engine, prepared.provenance["image_id"], place, self._owner)
        return ContainerSession(place, ContainerLauncher(box))

    def way_to_server(self, server: str, network: Reach) -> str:
        # A container has a loopback of its own, with IPv4 for certain, and the way to the server begins there.
        return f"127.0.0.1:{door_port(server, network)}"

    def means(self) -> Mapping[str, str]:
        by = self.engine.name
        kept = by if self.engine.keeps_limits else SAMPLING
        return {
            "memory": kept,
            "cpu": by if self.engine.keeps_limits else "not kept: the engine has no control groups",
            "processes": kept,
            "disk": "watchdog (folders are walked a tenth of the time)",
        }

    def expect(self, transform: Transform) -> None:
        pass

    def halt(self) -> None:
        self._installer.halt()  # what the engine builds or pulls already is its own, and comes to an end

    def close(self) -> None:
        self._remove_left_over()
        self.engine.close()

    def _build_once(
        self, image: Image, snapshot: Path, say: Callable[[str], None]
    ) -> tuple[Image, dict[str, Any], dict[str, Any]]:
        """Return our image, what the engine knows of it, and what it installs: its pins, as nothing is asked inside."""
        recipe = make_snapshot(image, self._code_root, snapshot)
        tag = content_tag(image)
        with self._building:
            found = images.inspect(self.engine, tag)
            if found is None:
                with logged(image.reference, f"image in {self.engine.name}", say) as tell:
                    build(self.engine, image, self._code_root, tell, self._installer)
                found = images.inspect(self.engine, tag)
        if found is None:
            raise FailedPrecondition(f"{tag} was built, but {self.engine.name} does not have it")
        pins = [snapshot / FILES / path.lstrip("/") for path in recipe.requirements] if recipe else []
        return image, found, {"packages": pinned(pins)} if pins else {}

    def _remove_left_over(self) -> None:
        with contextlib.suppress(FailedPrecondition), engine_errors("a list of containers"):
            label = json.dumps({"label": [f"{OWNER_LABEL}={self._owner}"]})
            for each in self.engine.api.containers(all=True, filters=json.loads(label)):
                self.engine.api.remove_container(each["Id"], force=True, v=True)
