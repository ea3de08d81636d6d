"""Build images of this folder with Docker or Podman, bases first: `python -m images.build [NAME...]`.

What `make images` runs. A server with `--runner container` builds what it needs by itself; this is for those who want
all of them at once, or on a base that needs no registry.

Read next: ../pachlet/worker/containers/building.py (what builds), debian_base.py (a base without a registry).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from images.debian_base import REPOSITORY, TAG, import_debian_base
from pachlet.errors import PachletError
from pachlet.worker.containers.building import build_all, plan
from pachlet.worker.containers.engine import NAMES, find_engine

ROOT = Path(__file__).parent.parent


def main() -> int:
    """Build what the command line asks for; return the exit status."""
    arguments = parse_arguments()
    try:
        builds = plan([reference(name) for name in arguments.names or every_name()], ROOT)
        engine = find_engine(arguments.engine)
        try:
            if arguments.debian_base:
                import_debian_base(engine, say)
            stand_in = f"{REPOSITORY}:{TAG}" if arguments.debian_base else ""
            build_all(engine, builds, ROOT, say, stand_in=stand_in)
        finally:
            engine.close()
    except PachletError as error:
        say(f"make images: {error}" + (f"\n  next: {error.hint}" if error.hint else ""))
        return error.exit_status
    return 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Build images with the machine's container engine.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="folders of images/; default: all of them")
    parser.add_argument("--engine", choices=NAMES, default="", help="default: the first that answers")
    parser.add_argument(
        "--debian-base",
        action="store_true",
        help="make python:3.11-slim-bookworm of Debian's packages: needs no registry",
    )
    return parser.parse_args()


def say(line: str) -> None:
    """Tell the user how far we are."""
    print(line, file=sys.stderr, flush=True)


def reference(name: str) -> str:
    """Return the name that specs or, of a base, the FROM lines of images/ call an image by."""
    return f"pachlet/{name}:{'1' if name.startswith('base-') else 'latest'}"


def every_name() -> list[str]:
    """Name the images that there are."""
    return sorted(path.parent.name for path in (ROOT / "images").glob("*/Dockerfile"))


if __name__ == "__main__":
    sys.exit(main())
