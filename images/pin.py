"""Pin the bases of the images by digest, as the registry has them now: `python -m images.pin`.

What `make pin-images` runs. It rewrites the line `ARG BASE=name:tag` of each Dockerfile whose base is not ours to
`ARG BASE=name:tag@sha256:…`; the tag stays, for people, and the digest is what counts. Pinned again, it moves to what
the tag means then. A pin is code: the images on it get other digests, and what they made is computed anew.

Read next: registry.py (who is asked), ../docs/containers.md.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from images.registry import digest_of
from pachlet.errors import PachletError

ROOT = Path(__file__).parent.parent
_BASE = re.compile(r"^ARG BASE=(?P<image>[^\s@]+)(?:@(?P<digest>sha256:[0-9a-f]{64}))?[ \t]*$", re.MULTILINE)
_OURS = "pachlet/"


def main() -> int:
    """Pin what can be pinned; return the exit status."""
    parser = argparse.ArgumentParser(description="Pin the bases of images by digest.")
    parser.add_argument("--code", type=Path, default=ROOT, help="the folder that holds images/")
    arguments = parser.parse_args()
    try:
        for line in pin(arguments.code):
            print(line)
    except PachletError as error:
        print(
            f"make pin-images: {error}" + (f"\n  next: {error.hint}" if error.hint else ""), file=sys.stderr
        )
        return error.exit_status
    return 0


def pin(code: Path) -> list[str]:
    """Pin each base that is not ours, all of them or none; return a line for each Dockerfile that has one.

    Raises:
        Unavailable: a registry does not answer; nothing was changed then.
        NotFound: it has no such image.
        FailedPrecondition: it will not say.
    """
    changes: dict[Path, str] = {}
    said, known = [], dict[str, str]()
    for dockerfile in sorted((code / "images").glob("*/Dockerfile")):
        text = dockerfile.read_text()
        found = _BASE.search(text)
        if found is None or found["image"].startswith(_OURS):
            continue
        image, before = found["image"], found["digest"]
        digest = known.get(image) or known.setdefault(image, digest_of(image))
        name = dockerfile.relative_to(code).as_posix()
        if digest == before:
            said.append(f"{name}: {image} is still {digest}")
            continue
        changes[dockerfile] = f"{text[: found.start()]}ARG BASE={image}@{digest}{text[found.end() :]}"
        said.append(f"{name}: {image} is {digest}" + (f", was {before}" if before else ""))
    for dockerfile, text in changes.items():
        dockerfile.write_text(text)
    return said


if __name__ == "__main__":
    sys.exit(main())
