"""Build the images that specs name, and push them where a cluster finds them.

A tag says what is in an image: it is the first digits of the digest of the image's code, or, of an image that is not
ours, of its id. So the same code is built once and pushed under the same name by everybody, and a spec that names a tag
can't mean anything else tomorrow.

Read next: ../worker/containers/building.py, ../worker/containers/pushing.py, ../cli/verbs/create_pipeline.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pachlet.errors import NotFound, Usage
from pachlet.worker.containers import building, images
from pachlet.worker.containers.engine import find_engine
from pachlet.worker.containers.pushing import push
from pachlet.worker.images import TAG_DIGITS, code_digest, content_tag
from pachlet.worker.installing import Installer

# What OCI's distribution protocol lets a registry and the path of an image in it be called.
_PART = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_PART}(?:/{_PART})*")
_REGISTRY = re.compile(
    rf"(?:[A-Za-z0-9]+(?:[.-]+[A-Za-z0-9]+)*|\[[0-9A-Fa-f:]+\])(?::[0-9]{{1,5}})?(?:/{_PART})*"
)


@dataclass(frozen=True)
class Pushed:
    """An image in a registry."""

    repository: str
    tag: str
    digest: str
    """`sha256:` and 64 hex digits, of the manifest."""

    @property
    def name(self) -> str:
        """The image as a spec names it, by its tag."""
        return f"{self.repository}:{self.tag}"

    @property
    def pinned(self) -> str:
        """The image as a spec names it for good: whatever is done to the tag, this is what runs."""
        return f"{self.repository}@{self.digest}"


def repository_of(reference: str, registry: str, username: str = "") -> str:
    """Return where an image is pushed to, without its tag: `registry/username/NAME`.

    Raises:
        Usage: there is no registry, or what is given can be none's name.
    """
    if registry and not _REGISTRY.fullmatch(registry.rstrip("/")):
        raise Usage(
            f"--registry {registry!r} is no name of a registry",
            hint="write HOST[:PORT][/PATH] without http://, such as registry.example.com/team or localhost:5000",
        )
    if username and not _PATH.fullmatch(username):
        raise Usage(
            f"--username {username!r} can be no part of an image's name",
            hint="small letters and digits, with . _ - between them",
        )
    path, _, _ = images.split_name(reference.partition("@")[0])
    name = path.rpartition("/")[2]
    repository = "/".join(part for part in (registry.rstrip("/"), username, name) if part)
    if repository == name:
        raise Usage("there is no registry to push to", hint="name one with --registry")
    return repository


class Shipyard:
    """Builds and pushes by this machine's container engine; `close` it."""

    def __init__(self, code: Path, say: Callable[[str], None], *, engine: str = "") -> None:
        """Use the engine of a name ('' is any) and the folder that holds images/.

        Raises:
            FailedPrecondition: no engine answers.
        """
        self._code = code.resolve()
        self._say = say
        self._engine = find_engine(engine)

    def build(self, reference: str) -> str:
        """Build an image of images/ unless the engine has it as it is now; return its name and content tag.

        Raises:
            NotFound: there is no such folder.
            InvalidArgument: its Dockerfile can't be understood.
            FailedPrecondition: the build failed, or the code changed meanwhile.
            Unavailable: what it pins can't be fetched.
        """
        image = code_digest(reference.partition(":")[0], self._code)
        building.build(self._engine, image, self._code, self._say, Installer())
        return content_tag(image)

    def push(self, source: str, registry: str, username: str = "") -> Pushed:
        """Push an image that the engine has to `registry/username/NAME`, tagged by its content.

        Raises:
            NotFound: the engine does not have it.
            FailedPrecondition: the registry does not take it.
        """
        found = images.inspect(self._engine, source)
        if found is None:
            raise NotFound(
                f"{self._engine.name} on this machine has no image {source}, so it can't be pushed",
                hint="build or pull it first; `--build` builds those of images/",
            )
        _, _, tag = images.split_name(source.partition("@")[0])
        if not images.is_ours(source):
            tag = found["Id"].removeprefix("sha256:")[:TAG_DIGITS]
        repository = repository_of(source, registry, username)
        digest = push(self._engine, source, f"{repository}:{tag}", self._say)
        return Pushed(repository, tag, digest)

    def close(self) -> None:
        """Let go of the engine."""
        self._engine.close()
