"""Find out what an image is: which files, which requirements, which digest.

`pachlet/NAME` means images/NAME under the code folder: its Dockerfile, chased through its bases down to
python:3.N, says which files of the code and which pinned requirements make up the image. The digest
covers exactly these (instructions, names, exec bits, bytes, Python's minor version), so changing a line
of one step changes one digest, and upstream's blind spot (a job is skipped though its code changed) can
be seen by comparing digests. Any other name is a host image: the machine's own programs, whose digest
says which machine's.

Read next: snapshots.py (the copy that runs), environments.py (the requirements), git.py (the commit of
the code).
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pachlet.errors import FailedPrecondition, InvalidArgument, NotFound
from pachlet.worker.dockerfile import Instruction, read_dockerfile
from pachlet.worker.git import git_state
from pachlet.worker.host import host_image
from pachlet.worker.interface import Image

_OURS = re.compile(r"pachlet/([a-z0-9][a-z0-9._-]*)(?::([A-Za-z0-9_][A-Za-z0-9_.-]*))?")
TAG_DIGITS = 16
"""How many digits of a digest make a tag that says what is in an image."""
_CONTENT_TAG = re.compile(rf"[0-9a-f]{{{TAG_DIGITS}}}")
_PYTHON = re.compile(
    r"(?:docker\.io/library/|library/)?python:(3\.\d+)(?:\.\d+)?(?:-[a-z0-9.-]+)?(?:@sha256:[0-9a-f]{64})?"
)

_MACHINES_OWN = re.compile(
    r"/(bin|boot|dev|etc|lib|lib32|lib64|libx32|nix|pfs|proc|run|sbin|sys|tmp|usr|var)?(/|$)"
)
"""What stands directly under / in every sandbox; no image can bring its own."""


@dataclass(frozen=True)
class Recipe:
    """What an image is made of, read from its chain of Dockerfiles."""

    instructions: tuple[str, ...]
    """Every instruction of the chain, the lowest base's first."""
    python: str
    """The minor version, like 3.11."""
    requirements: tuple[str, ...]
    """Paths in the image of the files that are installed, in order."""
    env: Mapping[str, str]
    working_dir: str
    dockerfiles: tuple[str, ...] = ()
    """Where this was read, from the code folder on; no part of the digest."""

    @property
    def working_dirs(self) -> list[str]:
        """The folders that WORKDIR makes where there are none, as in Docker; the machine's own are as they are."""
        words = [each.partition(" ") for each in self.instructions]
        named = [posixpath.normpath(folder) for keyword, _, folder in words if keyword == "WORKDIR"]
        return [folder for folder in named if not _MACHINES_OWN.match(folder)]

    def digest(self, files: Iterable[tuple[str, bool, str]]) -> str:
        """Return the image's digest; `files` has path in the image, exec bit and sha256 of each."""
        whole = {
            "form": "pachlet image 1",
            "instructions": self.instructions,
            "python": self.python,
            "files": sorted(files),
        }
        text = json.dumps(whole, sort_keys=True, separators=(",", ":"))
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


@dataclass
class _Build:
    """The state of a build while its instructions are walked through."""

    code_root: Path
    sources: dict[str, Path]
    requirements: list[str]
    env: dict[str, str]
    working_dir: str = "/"


def code_digest(reference: str, code_root: Path) -> Image:
    """Return the image that `reference` names, as its files under `code_root` are now.

    Raises:
        NotFound: it is `pachlet/NAME` and there is no images/NAME.
        InvalidArgument: its Dockerfile, or that of one of its bases, can't be understood.
        FailedPrecondition: its tag is that of other code.
    """
    if not reference.startswith("pachlet/"):
        return host_image(reference)
    recipe, sources = read_recipe(reference, code_root)
    files = [
        (path, bool(source.stat().st_mode & 0o111), hashlib.sha256(source.read_bytes()).hexdigest())
        for path, source in sources.items()
    ]
    pins = hashlib.sha256(b"\0".join(sources[path].read_bytes() for path in recipe.requirements))
    dockerfiles = [code_root / name for name in recipe.dockerfiles]
    digest = recipe.digest(files)
    _check_tag(reference, digest)
    return Image(
        reference=reference,
        digest=digest,
        kind="code",
        provenance={
            "runner": "process",
            "python": recipe.python,
            "dockerfiles": list(recipe.dockerfiles),
            "files": len(files),
            "requirements": f"sha256:{pins.hexdigest()}" if recipe.requirements else "",
            **git_state(code_root, [*sources.values(), *dockerfiles]),
        },
    )


def content_tag(image: Image) -> str:
    """Return the name of our image as its code is now: the tag says what is in it."""
    return _tagged(image.reference, image.digest)


def _tagged(reference: str, digest: str) -> str:
    return f"{reference.partition(':')[0]}:{digest.removeprefix('sha256:')[:TAG_DIGITS]}"


def has_content_tag(reference: str) -> bool:
    """Tell whether a name of ours has a tag that says what is in the image."""
    return _CONTENT_TAG.fullmatch(reference.partition(":")[2]) is not None


def _check_tag(reference: str, digest: str) -> None:
    now = _tagged(reference, digest)
    if reference != now and has_content_tag(reference):
        name = reference.partition(":")[0].removeprefix("pachlet/")
        raise FailedPrecondition(
            f"{reference} is other code than images/{name} holds now, which is {now}",
            hint="`update pipeline --build` takes the code as it is; a name without a tag follows it",
        )


def read_recipe(reference: str, code_root: Path) -> tuple[Recipe, dict[str, Path]]:
    """Return what the image is made of, and for each path in it the file of the code that goes there."""
    chain = _chain(reference, code_root)
    build = _Build(code_root, {}, [], {})
    instructions = [instruction for dockerfile in reversed(chain) for instruction in dockerfile]
    for instruction in instructions:
        _STEPS[instruction.keyword](build, instruction)
    python = _PYTHON.fullmatch(instructions[0].words[0])
    if python is None:
        raise instructions[0].refuse(
            f"FROM {instructions[0].words[0]} is no base that the process runner can stand in for",
            "end the chain of bases with python:3.N-slim-bookworm",
        )
    recipe = Recipe(
        instructions=tuple(" ".join([each.keyword, *each.words]) for each in instructions),
        python=python[1],
        requirements=tuple(build.requirements),
        env=build.env,
        working_dir=build.working_dir,
        dockerfiles=tuple(dockerfile[0].file for dockerfile in chain),
    )
    return recipe, build.sources


def _chain(reference: str, code_root: Path) -> list[list[Instruction]]:
    """Return the instructions of the image and of its bases under images/, the image's own first."""
    chain: list[list[Instruction]] = []
    asked = ""
    while reference.startswith("pachlet/"):
        match = _OURS.fullmatch(reference)
        if match is None:
            raise InvalidArgument(
                f"{asked}{reference} is no image name", hint="write pachlet/NAME or pachlet/NAME:TAG"
            )
        name = f"images/{match[1]}/Dockerfile"
        if any(dockerfile[0].file == name for dockerfile in chain):
            raise InvalidArgument(f"{asked}{reference} is its own base", hint="chase the FROM lines")
        if not (code_root / name).is_file():
            raise _missing(f"{asked}image {reference}", match[1], code_root)
        chain.append(read_dockerfile(code_root / name, name))
        base = chain[-1][0]
        reference, asked = base.words[0], f"{base.file}:{base.line}: "
    return chain


def _missing(what: str, name: str, code_root: Path) -> NotFound:
    known = sorted(path.parent.name for path in (code_root / "images").glob("*/Dockerfile"))
    near = difflib.get_close_matches(name, known, 1) or known[:1]
    hint = f"did you mean pachlet/{near[0]}?" if near else "is this the folder of your code? see --code"
    return NotFound(f"{what}: there is no images/{name}/Dockerfile in {code_root}", hint=hint)


def _copy(build: _Build, copy: Instruction) -> None:
    *sources, target = copy.words
    folder = len(sources) > 1 or target.endswith(("/", "/.")) or target == "."
    path = posixpath.normpath(posixpath.join(build.working_dir, target))
    if _MACHINES_OWN.match(path):
        raise copy.refuse(
            f"COPY to {path}: that part of the machine is shown to steps as it is", "copy to /app or /opt"
        )
    for source in sources:
        origin = build.code_root / source.lstrip("/")
        if not origin.exists():
            raise copy.refuse(f"COPY {source}: there is no such file in {build.code_root}", "check the name")
        if origin.is_dir():
            for below in _plain_files(origin, copy):
                build.sources[posixpath.join(path, below.relative_to(origin).as_posix())] = below
            continue
        if origin.is_symlink():
            raise copy.refuse(f"COPY {source}: it is a link", "copy the file itself")
        if not folder and (path == build.working_dir or _is_folder(path, build.sources)):
            raise copy.refuse(f"COPY to {target}: it is a folder", f"write {target}/")
        build.sources[posixpath.join(path, origin.name) if folder else path] = origin


def _plain_files(folder: Path, copy: Instruction) -> Iterable[Path]:
    """Give the files below `folder`, except what Python leaves behind (.dockerignore should name it too)."""
    for at, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted(names):
            path = Path(at, name)
            if path.is_symlink() or not path.is_file():
                raise copy.refuse(
                    f"COPY {path.name}: it is neither a file nor a folder", "copy plain files only"
                )
            if path.suffix != ".pyc":
                yield path


def _is_folder(path: str, sources: Mapping[str, Path]) -> bool:
    return any(known.startswith(path.rstrip("/") + "/") for known in sources)


def _run(build: _Build, run: Instruction) -> None:
    path = posixpath.normpath(posixpath.join(build.working_dir, run.words[-1]))
    if path not in build.sources:
        raise run.refuse(f"RUN pip install -r {run.words[-1]}: no COPY put a file there", "COPY it first")
    build.requirements.append(path)


def _workdir(build: _Build, workdir: Instruction) -> None:
    build.working_dir = posixpath.normpath(workdir.words[0])


def _env(build: _Build, env: Instruction) -> None:
    for word in env.words:
        key, _, value = word.partition("=")
        build.env[key] = value


def _nothing(build: _Build, instruction: Instruction) -> None:
    """FROM was followed when the chain was read; a LABEL changes nothing that a step can see."""


_STEPS = {
    "FROM": _nothing,
    "COPY": _copy,
    "RUN": _run,
    "WORKDIR": _workdir,
    "ENV": _env,
    "LABEL": _nothing,
}
