"""Say what the code of an image of ours is made of, for whoever applies specs.

The worker decides what an image is; asking it here, on the client's side, is what lets a change of code reach
any Pachyderm.

Read next: pachlet/worker/images.py, pachlet/client/apply.py.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from pachlet.client.apply import Code, CodeOf

_SHORT = 12  # hex digits: enough to see that a file changed; the digest of the whole is what decides


def code_under(root: Path) -> CodeOf:
    """Return a function from an image reference to its code as it is now under `root`."""

    def code_of(reference: str) -> Code | None:
        if not reference.startswith("pachlet/"):
            return None
        from pachlet.worker.images import code_digest, read_recipe

        image = code_digest(reference, root)
        recipe, sources = read_recipe(reference, root)
        paths = {*sources.values(), *(root / name for name in recipe.dockerfiles)}
        return Code(
            image.digest,
            {path.relative_to(root).as_posix(): _short(path) for path in sorted(paths)},
            image.provenance["git_commit"] or "",
            bool(image.provenance["dirty"]),
        )

    return code_of


def _short(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:_SHORT]
