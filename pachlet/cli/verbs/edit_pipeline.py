"""edit pipeline: change a pipeline's spec in an editor, then update it.

What is wrong with the edited text keeps it in its file, so that no work is lost.

Read next: pipeline.py, specs.py.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import tempfile
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from pachlet.cli import flags
from pachlet.cli.output import as_json, as_plain
from pachlet.cli.session import Session
from pachlet.cli.verbs.specs import read_specs
from pachlet.client import pipelines
from pachlet.errors import InvalidArgument, PachletError


def edit_pipeline_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("pipeline")
    parser.add_argument("--editor", default="", metavar="E", help="the editor (default: $EDITOR, else vi)")
    parser.add_argument("--reprocess", action="store_true", help="process all datums again")
    parser.add_argument("-o", "--output", choices=("json", "yaml"), default="json", help="the form to edit")
    flags.add_project(parser)


def edit_pipeline(session: Session, arguments: Namespace) -> None:
    info = pipelines.inspect_pipeline(session.connection, arguments.pipeline)
    spec = pipelines.user_spec(info) or {"pipeline": as_plain(info.pipeline)}
    before = _text(spec, arguments.output)
    handle, name = tempfile.mkstemp(prefix=f"{info.pipeline.name}-", suffix=f".{arguments.output}")
    with os.fdopen(handle, "w") as out:
        out.write(before)
    _edit(session, arguments.editor, name)
    path = Path(name)
    if path.read_bytes() == before.encode():
        path.unlink()
        session.say("Pipeline unchanged, no update will be performed.")
        return
    try:
        specs = read_specs(session, name)
        if len(specs) != 1:
            raise InvalidArgument(f"found {len(specs)} specs, wanted the one of {arguments.pipeline}")
        (changed,) = specs
        whole = {"project": as_plain(info.pipeline).get("project", {}), **changed["pipeline"]}
        if whole["name"] != info.pipeline.name or whole["project"] != as_plain(info.pipeline)["project"]:
            raise InvalidArgument(
                "the edited spec is of another pipeline", hint=f"leave the name {info.pipeline.name} as it is"
            )
        pipelines.create_pipeline(
            session.connection, {**changed, "pipeline": whole}, update=True, reprocess=arguments.reprocess
        )
    except PachletError:
        session.say(
            f"what you wrote is kept in {name}; mend it, then `{session.program} update pipeline -f {name}`"
        )
        raise
    path.unlink()


def _text(spec: Any, form: str) -> str:
    if form == "yaml":
        import yaml

        return str(yaml.safe_dump(spec, sort_keys=False, allow_unicode=True))
    return as_json(json.loads(json.dumps(spec))) + "\n"


def _edit(session: Session, named: str, path: str) -> None:
    editor = named or session.environ.get("VISUAL") or session.environ.get("EDITOR") or "vi"
    try:
        done = subprocess.run([*shlex.split(editor), path], check=False)
    except (OSError, ValueError) as error:
        Path(path).unlink()
        reason = getattr(error, "strerror", None) or error
        raise PachletError(
            f"cannot start the editor {editor}: {reason}", hint="name one with --editor"
        ) from None
    if done.returncode:
        raise PachletError(
            f"the editor {editor} ended with status {done.returncode}", hint=f"the text is in {path}"
        )
