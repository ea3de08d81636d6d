"""Copy an image's files into a folder named by digest, and make sure that they are what the digest says.

A job runs from its snapshot, never from the working tree: an edit while it runs can't mix two versions of the
code, and a job that goes on after a restart runs what it began with. The snapshot holds the files as they
will be seen from `/`, and beside them image.json, which is all that is needed to run it again.

Read next: images.py (what the digest covers), environments.py (what the requirements become).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pachlet.errors import Corrupt, FailedPrecondition
from pachlet.worker.images import Recipe, read_recipe
from pachlet.worker.interface import Image

FILES = "files"
_RECIPE = "image.json"


def make_snapshot(image: Image, code_root: Path, snapshot: Path) -> Recipe | None:
    """Make `snapshot` unless it is there, check it against the image's digest, and return what it is made of.

    Atomic, and safe between processes. A host image has no files of its own and no recipe.

    Raises:
        FailedPrecondition: the code changed after the image was resolved.
        Corrupt: a snapshot that was there does not match the digest.
    """
    if not snapshot.exists():
        _copy_in(image, code_root, snapshot)
    if image.kind == "host":
        return None
    recipe = _read(snapshot)
    if recipe.digest(_files(snapshot / FILES)) != image.digest:
        raise Corrupt(
            f"the snapshot of {image.reference} in {snapshot} is not what its digest says",
            hint="remove that folder; it is made again from the code if the code is still the same",
        )
    for folder in recipe.working_dirs:  # also of a snapshot that was made before these were
        (snapshot / FILES / folder.lstrip("/")).mkdir(parents=True, exist_ok=True)
    return recipe


def _copy_in(image: Image, code_root: Path, snapshot: Path) -> None:
    snapshot.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=snapshot.parent, prefix=".making-") as scratch:
        made = Path(scratch, "snapshot")
        (made / FILES).mkdir(parents=True)
        if image.kind == "code":
            recipe, sources = read_recipe(image.reference, code_root)
            for path, source in sources.items():
                target = made / FILES / path.lstrip("/")
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
                target.chmod(0o555 if source.stat().st_mode & 0o111 else 0o444)
            (made / _RECIPE).write_text(json.dumps(asdict(recipe), indent=1))
            if recipe.digest(_files(made / FILES)) != image.digest:
                raise FailedPrecondition(
                    f"the code of {image.reference} changed while it was being made ready",
                    hint="update the pipeline again",
                )
        try:
            made.rename(snapshot)
        except OSError:
            if not snapshot.exists():  # if it is there now, another process made the same one
                raise


def _read(snapshot: Path) -> Recipe:
    try:
        fields: dict[str, Any] = json.loads((snapshot / _RECIPE).read_text())
        lists = {key: tuple(value) for key, value in fields.items() if isinstance(value, list)}
        return Recipe(**{**fields, **lists})
    except (OSError, ValueError, TypeError) as problem:
        raise Corrupt(
            f"the snapshot {snapshot} can't be read: {problem}", hint="remove that folder"
        ) from None


def _files(root: Path) -> Iterator[tuple[str, bool, str]]:
    for at, _, names in os.walk(root):
        for name in names:
            path = Path(at, name)
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            yield f"/{path.relative_to(root).as_posix()}", bool(path.stat().st_mode & 0o111), content
