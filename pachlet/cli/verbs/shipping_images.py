"""create and update pipeline, --build and --push-images: the images of specs are made before the specs are sent.

Read next: create_pipeline.py (who asks), pachlet/remote/shipping.py (who does it).
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pachlet.cli.session import Session

if TYPE_CHECKING:
    from pachlet.remote.shipping import Shipyard

Spec = dict[str, Any]
_OURS = "pachlet/"


def add_image_arguments(parser: ArgumentParser) -> None:
    """Declare pachctl's flags for images."""
    parser.add_argument(
        "-b",
        "--build",
        action="store_true",
        help="build the specs' images of images/ first, with this machine's Docker or Podman; each is then named by "
        "a tag that says what is in it",
    )
    parser.add_argument(
        "-p",
        "--push-images",
        action="store_true",
        help="push the specs' images to a registry, those of images/ built first, and name them there",
    )
    parser.add_argument(
        "-r",
        "--registry",
        default="index.docker.io",
        help="where to push to (default index.docker.io)",
    )
    parser.add_argument("-u", "--username", default="", help="whose images they are in the registry")
    parser.add_argument(
        "--code", type=Path, default=Path(), metavar="DIR", help="where images/ is (default: here)"
    )


def with_images(session: Session, arguments: Namespace, specs: list[Spec]) -> list[Spec]:
    """Return the specs with the names of what was built and pushed for them.

    Raises:
        FailedPrecondition: no engine answers, or it or the registry refused.
    """
    if not (arguments.build or arguments.push_images):
        return specs
    if arguments.dry_run:
        session.say("note: nothing is built or pushed; images are named as they are now")
        return specs
    from pachlet.remote.shipping import Shipyard

    with closing(Shipyard(arguments.code, session.say)) as yard:
        names = {}
        for image in dict.fromkeys(map(_image, specs)):
            names[image] = _ship(session, arguments, yard, image)
    return [_named(spec, names[_image(spec)]) for spec in specs]


def _ship(session: Session, arguments: Namespace, yard: Shipyard, image: str) -> str:
    """Build and push one image; return how specs name it then."""
    is_ours = image.startswith(_OURS)
    name = yard.build(image) if is_ours else image
    if arguments.push_images and image:
        pushed = yard.push(name, arguments.registry, arguments.username)
        session.say(f"pushed {pushed.name}, which is {pushed.digest}")
        return pushed.name
    if not is_ours:
        session.say(
            f"note: {image or 'a spec without an image'} is no folder of images/, and is left as it is"
        )
    return name


def _image(spec: Spec) -> str:
    return str((spec.get("transform") or {}).get("image") or "")


def _named(spec: Spec, image: str) -> Spec:
    return {**spec, "transform": {**spec["transform"], "image": image}} if image else spec
