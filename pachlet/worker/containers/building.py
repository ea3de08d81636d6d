"""Build the images of images/ in a container engine, bases first, each once for each state of its code.

The Dockerfiles are those that the process runner reads, and nothing is added to them. An image is tagged by the digest
of its code, so what is built already is found again, and what is not can't be mistaken for it. Under Podman the pinned
wheels are fetched beforehand by the machine's own pip, which knows the way to its package index, and shown to the build
as a folder: builds need no network, and no mirror's address or certificate ends up in an image. Docker can't show a
folder to a build, so there the build itself has to reach the index.

Read next: images.py (the tags), ../images.py (how a Dockerfile is read).
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pachlet.config import default_envs
from pachlet.errors import FailedPrecondition, Unavailable
from pachlet.worker.containers.engine import Engine, engine_errors
from pachlet.worker.containers.images import inspect, is_ours
from pachlet.worker.containers.service import podman_options
from pachlet.worker.dockerfile import read_dockerfile
from pachlet.worker.environments import only_one
from pachlet.worker.images import code_digest, content_tag, read_recipe
from pachlet.worker.installing import Installer, OutOfReach, is_of_network
from pachlet.worker.interface import Image
from pachlet.worker.interpreters import find_interpreter, find_uv

_PIP_SETTINGS = "[global]\nno-index = true\nfind-links = /root/wheels\n"
"""They lie in root's home during the build: a place that is in every image, so that nothing stays behind."""
_DOCKER_HINT = "a build by Docker goes to the package index by itself; Podman is given the wheels"
_BASE_HINT = (
    "if no registry can be reached, `make images ARGS=--debian-base` makes the base of Debian's packages"
)
_OUTPUT_LINES = 12


@dataclass(frozen=True)
class Build:
    """One image to be built."""

    image: Image
    on_top_of: str
    """The name in its FROM."""
    base: str
    """The content tag of its base, if that is one of ours."""
    python: str
    requirements: tuple[Path, ...]
    """The files that its own Dockerfile installs, without those of its bases."""

    @property
    def name(self) -> str:
        """Its folder of images/."""
        return self.image.reference.removeprefix("pachlet/").partition(":")[0]

    @property
    def tag(self) -> str:
        """The name that it gets."""
        return content_tag(self.image)


def build(
    engine: Engine, image: Image, code_root: Path, say: Callable[[str], None], installer: Installer
) -> None:
    """Build one of our images, and those below it, as their code is now.

    Raises:
        FailedPrecondition: the build failed, or the code is no longer what `image` says.
        Unavailable: the wheels that it pins can't be fetched.
    """
    builds = plan([image.reference], code_root)
    build_all(engine, builds, code_root, say, installer=installer)
    if builds[-1].image.digest != image.digest:
        raise FailedPrecondition(
            f"the code of {image.reference} changed while its image was being built",
            hint="update the pipeline again",
        )


def plan(references: Sequence[str], code_root: Path) -> list[Build]:
    """Return what to build, in order: the bases of each image before it, nothing twice.

    Raises:
        NotFound: there is no such image.
        InvalidArgument: a Dockerfile can't be understood.
    """
    builds: dict[str, Build] = {}
    for reference in references:
        for each in _chain(reference, code_root):
            builds.setdefault(each.tag, each)
    return list(builds.values())


def _chain(reference: str, code_root: Path) -> list[Build]:
    """Return the image and, before it, those of ours that it is based on."""
    recipe, sources = read_recipe(reference, code_root)
    name = f"images/{reference.removeprefix('pachlet/').partition(':')[0]}/Dockerfile"
    below = read_dockerfile(code_root / name, name)[0].words[0]
    bases = _chain(below, code_root) if is_ours(below) else []
    inherited = sum(len(base.requirements) for base in bases)
    own = tuple(sources[path] for path in recipe.requirements[inherited:])
    image = code_digest(reference, code_root)
    return [*bases, Build(image, below, bases[-1].tag if bases else "", recipe.python, own)]


def build_all(
    engine: Engine,
    builds: Iterable[Build],
    code_root: Path,
    say: Callable[[str], None],
    *,
    stand_in: str = "",
    installer: Installer | None = None,
) -> None:
    """Build images in the order given; those that the engine has already are left as they are.

    Each also gets the plain name by which Dockerfiles and specs call it. `stand_in` is taken for a base that is pinned,
    as where no registry can be asked for what the pin means.
    """
    installer = installer or Installer()
    locks = default_envs().parent / "building"
    locks.mkdir(parents=True, exist_ok=True)
    for each in builds:
        with only_one(locks / f"{engine.name}-{each.tag.replace('/', '-')}.lock", installer):
            if inspect(engine, each.tag) is None:
                say(f"building {each.tag}")
                with _wheels(engine, each, code_root, say, installer) as wheels:
                    _build(engine, each, code_root, wheels, _base(each, say, stand_in))
        repository, _, tag = each.image.reference.partition(":")
        local = "localhost/" if engine.name == "podman" else ""  # else it would take it for Docker Hub's
        with engine_errors(f"to tag {each.tag}"):
            engine.api.tag(each.tag, f"{local}{repository}", tag or "latest", force=True)


def _base(build: Build, say: Callable[[str], None], stand_in: str) -> str:
    if stand_in and "@" in build.on_top_of and not build.base:
        say(f"{stand_in} stands in for {build.on_top_of}")
        return stand_in
    return build.base


def _build(engine: Engine, build: Build, code_root: Path, wheels: Path | None, base: str) -> None:
    if wheels is None:
        _build_by_docker(engine, build, base, code_root)
    else:
        _build_by_podman(engine, build, base, code_root, wheels)


def _build_by_docker(engine: Engine, build: Build, base: str, code_root: Path) -> None:
    said: list[str] = []
    with engine_errors(f"to build {build.tag}"):
        for line in engine.api.build(
            path=str(code_root),
            dockerfile=f"images/{build.name}/Dockerfile",
            tag=build.tag,
            buildargs={"BASE": base} if base else {},
            rm=True,
            forcerm=True,
            decode=True,
        ):
            said.append(str(line.get("stream") or line.get("error") or ""))
            if "error" in line:
                raise _failure(build, "".join(said), _DOCKER_HINT)


def _build_by_podman(engine: Engine, build: Build, base: str, code_root: Path, wheels: Path) -> None:
    limits = [
        word
        for each in engine.ulimits
        for word in ("--ulimit", f"{each['Name']}={each['Soft']}:{each['Hard']}")
    ]
    argument = ["--build-arg", f"BASE={base}"] if base else []
    # One layer is made in half the time that one for each line takes; only what is installed is worth keeping apart.
    layers = [] if build.requirements else ["--layers=false"]
    # Without `label=disable` SELinux would hide the folder from the build.
    shown = ["--network", "none", "--volume", f"{wheels}:/root", "--security-opt", "label=disable"]
    dockerfile = str(code_root / "images" / build.name / "Dockerfile")
    command = [
        engine.program or "podman",
        *podman_options(),
        "build",
        "--quiet",
        *layers,
        *limits,
        *shown,
        *argument,
    ]
    done = subprocess.run(
        [*command, "--tag", build.tag, "--file", dockerfile, str(code_root)],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        raise _failure(build, done.stdout + done.stderr, "")


def _failure(build: Build, said: str, hint: str) -> FailedPrecondition:
    tail = [line.rstrip() for line in said.splitlines() if line.strip()][-_OUTPUT_LINES:]
    text = "\n".join(f"  {line}" for line in tail)
    is_base = build.on_top_of in said and not build.base
    return FailedPrecondition(
        f"image {build.image.reference} could not be built:\n{text}", hint=_BASE_HINT if is_base else hint
    )


@contextmanager
def _wheels(
    engine: Engine, build: Build, code_root: Path, say: Callable[[str], None], installer: Installer
) -> Iterator[Path | None]:
    """Fetch the wheels that an image needs into a folder for its build by Podman; Docker can't be shown one."""
    if engine.name != "podman":
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="pachlet-build-") as folder:
        home = Path(folder)
        (home / ".pip").mkdir()
        (home / ".pip" / "pip.conf").write_text(_PIP_SETTINGS)
        (home / "wheels").mkdir()
        fetching = _Fetching(build.python, home / "wheels", code_root, installer)
        for requirements in build.requirements:
            installer.persist(partial(fetching.fetch, requirements), say)
        yield home


@dataclass(frozen=True)
class _Fetching:
    """Downloads what requirements files pin, checked against their hashes."""

    python: str
    folder: Path
    code_root: Path
    installer: Installer

    def fetch(self, requirements: Path) -> None:
        """Download what one file pins.

        Raises:
            Unavailable: there is no Python of that version to ask for wheels with, or no package index.
        """
        program = str(find_interpreter(self.python, self.installer.run).executable)
        pip = [find_uv(), "--system-certs", "--quiet", "tool", "run", "--python", program, "pip"]
        words = ["download", "--quiet", "--no-deps", "--only-binary", ":all:", "--require-hashes"]
        done = self.installer.run(
            [*pip, *words, "--dest", str(self.folder), "--requirement", str(requirements)]
        )
        if done.returncode:
            problem = next(
                (line for line in done.stderr.splitlines() if line.startswith("ERROR")), done.stderr
            )
            kind = OutOfReach if is_of_network(done.stderr) else Unavailable
            raise kind(
                f"pip could not fetch what {requirements.relative_to(self.code_root)} pins: {problem.strip()}",
                hint="is a package index within reach? pip's own settings are used",
            )
