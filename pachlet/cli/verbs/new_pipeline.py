"""new pipeline: write a spec, a step, an image and a test that work, to be changed into what is wanted.

Nothing is ever overwritten: either all files are new, or none is written.

Read next: ../first_pipeline.py (what is in them).
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from pachlet.cli.first_pipeline import FirstPipeline
from pachlet.cli.session import Session
from pachlet.errors import AlreadyExists, PachletError


def new_pipeline_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("pipeline", help="its name")
    parser.add_argument("--repo", default="data", metavar="R", help="the repo that it reads (default: data)")
    parser.add_argument("--glob", default="/*", metavar="G", help="what becomes a datum (default: /*)")
    parser.add_argument(
        "--code", type=Path, default=Path(), metavar="DIR", help="where to write (default: here)"
    )
    parser.add_argument("--project", default="", metavar="P", help="the project, to be written into the spec")


def new_pipeline(session: Session, arguments: Namespace) -> None:
    new = FirstPipeline(arguments.pipeline, arguments.repo, arguments.glob, arguments.project)
    new.check()
    files = {arguments.code / path: text for path, text in new.files().items()}
    _refuse_to_overwrite(list(files))
    for path, text in files.items():
        _write(path, text)
        session.print(f"wrote {path}")
    project = f" --project {new.project}" if new.project else ""
    session.say("now, with a server whose --code is this folder:")
    session.say(f"  {session.program} create repo {new.repo}{project}")
    session.say(f"  {session.program} apply {arguments.code / new.spec_path}{_code(arguments.code)}")
    session.say(f"  {session.program} put file {new.repo}@master -f FILE --wait{project}")


def _code(folder: Path) -> str:
    return "" if folder == Path() else f" --code {folder}"


def _refuse_to_overwrite(paths: list[Path]) -> None:
    if there := [str(path) for path in paths if path.exists() or path.is_symlink()]:
        raise AlreadyExists(
            f"{', '.join(there)} {'is' if len(there) == 1 else 'are'} there already",
            hint="nothing was written; choose another name, or move it away",
        )


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8", newline="\n") as out:
            out.write(text)
    except OSError as error:
        raise PachletError(f"cannot write {path}: {error.strerror}") from None
