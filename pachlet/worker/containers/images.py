"""Find out what an image is in a container engine: which id, and for our own images which code.

An image's id is the hash of its configuration and layers, so a tag that was moved shows as another id. For
`pachlet/NAME` the digest is that of the code, as under the process runner (../images.py), so that a change of the
runner alone is no change of the code; the id of the image that was built from it is recorded beside it. An image of any
other name is its id.

Read next: building.py (how our own are built), runner.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pachlet.errors import FailedPrecondition, NotFound
from pachlet.worker.containers.engine import Engine, engine_errors
from pachlet.worker.images import code_digest, has_content_tag
from pachlet.worker.interface import Image

_UNKNOWN = "not pulled yet: "


def is_ours(reference: str) -> bool:
    """Tell whether a reference means a folder of images/."""
    return reference.startswith("pachlet/")


def resolve(engine: Engine, reference: str, code_root: Path) -> Image:
    """Return what a reference means now; one that has to be pulled first has a digest that says so.

    Raises:
        NotFound: it is `pachlet/NAME` and there is no images/NAME.
        InvalidArgument: its Dockerfile can't be understood.
        FailedPrecondition: its tag is that of other code, of which the engine has no image.
    """
    if is_ours(reference):
        try:
            image = code_digest(reference, code_root)
        except (FailedPrecondition, NotFound):
            # A tag that says what is in the image is as good as the code: built here once, it is what it was.
            if not has_content_tag(reference) or (found := inspect(engine, reference)) is None:
                raise
            return _image(reference, found)
        facts = {**image.provenance, "runner": "container"}
        return Image(reference, image.digest, "code", facts)
    found = inspect(engine, reference)
    if found is None:
        digest = hashlib.sha256(f"{_UNKNOWN}{reference}".encode()).hexdigest()
        return Image(reference, f"sha256:{digest}", "container", {"runner": "container", "pulled": False})
    return _image(reference, found)


def ensure(engine: Engine, image: Image, say: Callable[[str], None]) -> tuple[Image, dict[str, Any]]:
    """Return an image that was resolved, pulled if need be, and what the engine knows of it.

    Raises:
        FailedPrecondition: the image can't be had, with the engine's reason.
    """
    if image.provenance.get("pulled", True):
        found = inspect(engine, image.digest)
        if found is None:
            raise FailedPrecondition(
                f"image {image.reference} ({image.digest}) is gone from {engine.name}",
                hint="pull or build it again; a tag that was moved since is another image",
            )
        return image, found
    pull(engine, image.reference, say)
    found = inspect(engine, image.reference)
    if found is None:
        raise FailedPrecondition(f"image {image.reference} was pulled, but {engine.name} does not have it")
    return _image(image.reference, found), found


def inspect(engine: Engine, reference: str) -> dict[str, Any] | None:
    """Return what the engine knows of an image that it holds, or None."""
    import docker.errors

    with engine_errors(f"what image {reference} is"):
        try:
            found: dict[str, Any] = engine.api.inspect_image(reference)
        except docker.errors.ImageNotFound:
            return None
    return found


def pull(engine: Engine, reference: str, say: Callable[[str], None]) -> None:
    """Pull an image from its registry.

    Raises:
        FailedPrecondition: the registry does not give it, with the reason.
    """
    say(f"pulling image {reference}")
    repository, _, tag = reference.partition("@") if "@" in reference else split_name(reference)
    problem = ""
    try:
        with engine_errors(f"to pull image {reference}"):
            for line in engine.api.pull(repository, tag=tag or "latest", stream=True, decode=True):
                problem = str(line.get("error") or problem)
    except (FailedPrecondition, NotFound) as error:
        problem = str(error)
    if problem:
        raise FailedPrecondition(
            f"image {reference} can't be pulled: {problem}",
            hint="check the name, the registry and your login there (docker login, podman login)",
        )


def split_name(reference: str) -> tuple[str, str, str]:
    """Split a name from its tag, with what stands between them; a colon before the last slash is a registry's port."""
    head, slash, last = reference.rpartition("/")
    name, colon, tag = last.partition(":")
    return f"{head}{slash}{name}", colon, tag


def _image(reference: str, found: dict[str, Any]) -> Image:
    return Image(
        reference,
        found["Id"] if found["Id"].startswith("sha256:") else f"sha256:{found['Id']}",
        "container",
        facts_of(found),
    )


def facts_of(found: dict[str, Any]) -> dict[str, Any]:
    """Return what is recorded of an image."""
    labels = (found.get("Config") or {}).get("Labels") or {}
    return {
        "runner": "container",
        "image_id": found["Id"],
        "repo_digests": sorted(found.get("RepoDigests") or []),
        "platform": f"{found.get('Os', '')}/{found.get('Architecture', '')}",
        "labels": {key: labels[key] for key in sorted(labels) if key.startswith("org.opencontainers.image.")},
    }
