"""edit metadata: change the keys and values that are kept with an object; several changes at once or none.

    edit metadata commit images@master add verified_by=you
    edit metadata repo images edit owner=me  project default delete support

Read next: pachlet/client/metadata.py.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from pachlet.cli import flags
from pachlet.cli.session import Session
from pachlet.client import metadata
from pachlet.errors import Usage

_WORDS = 4


def edit_metadata_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "edits",
        nargs="*",
        metavar="kind object operation data",
        help=f"{', '.join(metadata.KINDS)}; its name (. for the cluster); {', '.join(metadata.OPERATIONS)};"
        " key=value, a key to delete, or key=value;... to replace all; may be repeated",
    )
    flags.add_project(parser)


def edit_metadata(session: Session, arguments: Namespace) -> None:
    words = arguments.edits
    if not words or len(words) % _WORDS:
        raise Usage(
            "each change is four words", hint="KIND OBJECT OPERATION DATA, as in: repo images add owner=me"
        )
    project = session.connection.project
    edits = [metadata.edit(project, *words[start : start + _WORDS]) for start in range(0, len(words), _WORDS)]
    metadata.edit_metadata(session.connection, edits)
    session.say("ok")
