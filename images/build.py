"""Build images of this folder with Docker or Podman, bases first: `python -m images.build [NAME...]`.

The Dockerfiles are those that the process runner reads, and nothing is added to them. Under Podman the pinned
wheels are fetched beforehand by the machine's own pip, which knows the way to its package index, and shown to the
build as a folder: builds need no network, and no mirror's address or certificate ends up in an image.
Docker can't show a folder to a build, so there the build itself has to reach the index.

Read next: engine.py (which engine), debian_base.py (a base without a registry), ../pachlet/worker/images.py (the
process runner's reading of the same files).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from images.debian_base import import_debian_base
from images.engine import NAMES, Engine, find_engine
from pachlet.errors import PachletError, Unavailable
from pachlet.worker.dockerfile import read_dockerfile
from pachlet.worker.images import read_recipe
from pachlet.worker.interpreters import find_interpreter, find_uv

ROOT = Path(__file__).parent.parent

_BASE_TAG = "1"
"""What the FROM lines of images/ write after the name of a base."""

_PIP_SETTINGS = "[global]\nno-index = true\nfind-links = /root/wheels\n"
"""They lie in root's home during the build: a place that is in every image, so that nothing stays behind."""


@dataclass(frozen=True)
class Build:
    """One image to be built."""

    name: str
    """Its folder here."""
    tag: str
    on_top_of: str
    """The name in its FROM."""
    python: str
    requirements: tuple[Path, ...]
    """The files that its own Dockerfile installs, without those of its bases."""


def main() -> int:
    """Build what the command line asks for; return the exit status."""
    arguments = parse_arguments()
    try:
        builds = plan(arguments.names or every_name())
        engine = find_engine(arguments.engine)
        base = import_debian_base(engine, say) if arguments.debian_base else arguments.base
        build_images(engine, builds, base)
    except PachletError as error:
        say(f"make images: {error}" + (f"\n  next: {error.hint}" if error.hint else ""))
        return error.exit_status
    return 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Build images with the machine's container engine.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="folders of images/; default: all of them")
    parser.add_argument("--engine", choices=NAMES, default="", help="default: the first that answers")
    bases = parser.add_mutually_exclusive_group()
    bases.add_argument("--base", metavar="IMAGE", default="", help="use this image for python:3.N-slim")
    bases.add_argument(
        "--debian-base", action="store_true", help="make that image of Debian's packages: needs no registry"
    )
    return parser.parse_args()


def say(line: str) -> None:
    """Tell the user how far we are."""
    print(line, file=sys.stderr, flush=True)


def build_images(engine: Engine, builds: Iterable[Build], base: str = "") -> None:
    """Build images in the order given; `base` takes the place of the one at the bottom of each chain."""
    for build in builds:
        say(f"building {build.tag}")
        argument = ("--build-arg", f"BASE={base}") if base and not _is_ours(build.on_top_of) else ()
        with wheels_shown(engine, build) as shown:
            dockerfile = str(ROOT / "images" / build.name / "Dockerfile")
            engine.run(
                *("build", "--quiet", *engine.limits, *shown, *argument),
                *("--tag", build.tag, "--file", dockerfile, str(ROOT)),
            )


def every_name() -> list[str]:
    """Name the images that there are."""
    return sorted(path.parent.name for path in (ROOT / "images").glob("*/Dockerfile"))


def plan(names: Sequence[str]) -> list[Build]:
    """Return what to build, in order: the bases of each image before it, nothing twice.

    Raises:
        NotFound: there is no such image.
        InvalidArgument: a Dockerfile can't be understood.
    """
    builds: dict[str, Build] = {}
    for name in names:
        for build in _chain(f"pachlet/{name}:{_BASE_TAG if name.startswith('base-') else 'latest'}"):
            builds.setdefault(build.tag, build)
    return list(builds.values())


def _chain(reference: str) -> list[Build]:
    """Return the image and, before it, those of ours that it is based on."""
    recipe, sources = read_recipe(reference, ROOT)
    name = reference.removeprefix("pachlet/").partition(":")[0]
    below = read_dockerfile(ROOT / "images" / name / "Dockerfile", f"images/{name}/Dockerfile")[0].words[0]
    bases = _chain(below) if _is_ours(below) else []
    inherited = sum(len(base.requirements) for base in bases)
    own = [sources[path] for path in recipe.requirements[inherited:]]
    return [*bases, Build(name, reference, below, recipe.python, tuple(own))]


def _is_ours(reference: str) -> bool:
    return reference.startswith("pachlet/")


@contextmanager
def wheels_shown(engine: Engine, build: Build) -> Iterator[tuple[str, ...]]:
    """Fetch the wheels that an image needs; give the words that show them to its build."""
    if engine.name != "podman":
        yield ()
        return
    with tempfile.TemporaryDirectory(prefix="pachlet-build-") as folder:
        home = Path(folder)
        (home / ".pip").mkdir()
        (home / ".pip" / "pip.conf").write_text(_PIP_SETTINGS)
        (home / "wheels").mkdir()
        for requirements in build.requirements:
            fetch_wheels(build.python, requirements, home / "wheels")
        # Without `label=disable` SELinux would hide the folder from the build.
        yield ("--network", "none", "--volume", f"{folder}:/root", "--security-opt", "label=disable")


def fetch_wheels(python: str, requirements: Path, folder: Path) -> None:
    """Download what a requirements file pins, checked against its hashes.

    Raises:
        Unavailable: there is no Python of that version to ask for wheels with, or no package index.
    """
    program = str(find_interpreter(python).executable)
    pip = [find_uv(), "--system-certs", "--quiet", "tool", "run", "--python", program, "pip"]
    words = ["download", "--quiet", "--no-deps", "--only-binary", ":all:", "--require-hashes"]
    command = [*pip, *words, "--dest", str(folder), "--requirement", str(requirements)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    if done.returncode:
        problem = next((line for line in done.stderr.splitlines() if line.startswith("ERROR")), done.stderr)
        raise Unavailable(
            f"pip could not fetch what {requirements.relative_to(ROOT)} pins: {problem.strip()}",
            hint="is a package index within reach? pip's own settings are used",
        )


if __name__ == "__main__":
    sys.exit(main())
