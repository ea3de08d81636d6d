"""import dvc: write for each stage of a DVC project a spec and an image, and say what to type next.

Read next: ../dvc/pipelines.py (what is written).
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from pachlet.cli import flags
from pachlet.cli.session import Session
from pachlet.errors import AlreadyExists, PachletError


def import_dvc_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "folder", nargs="?", type=Path, default=Path(), help="of the DVC project (default: here)"
    )
    parser.add_argument(
        "--each",
        action="append",
        default=[],
        metavar="DEP",
        help="a folder among the deps whose files the stage treats each by itself: each becomes a datum",
    )
    parser.add_argument(
        "--code",
        action="append",
        default=[],
        metavar="PATH",
        help="code that all stages need and no deps name",
    )
    flags.add_force(parser)
    flags.add_project(parser)


def import_dvc(session: Session, arguments: Namespace) -> None:
    from pachlet.cli.dvc.pipelines import REQUIREMENTS, Asked, import_project
    from pachlet.cli.dvc.project import read_project

    folder: Path = arguments.folder
    project = read_project(folder)
    listed = sorted(folder.glob("requirements*.txt")) or sorted(folder.glob("*/requirements*.txt"))
    needed = [path for path in listed if "images" not in path.relative_to(folder).parts]
    asked = Asked(
        arguments.project,
        [each.rstrip("/") for each in arguments.each],
        [each.rstrip("/") for each in arguments.code],
        is_pinned=bool(needed),
    )
    made = import_project(project, asked)
    if not arguments.force:
        _refuse_to_change(folder, made.files)
    for name, text in made.files.items():
        _write(folder / name, text)
        session.print(f"wrote {folder / name}")
    session.say(f"now, with a server whose --code is {folder}:")
    if needed and not (folder / REQUIREMENTS).exists():
        session.say(
            f"  uv pip compile --generate-hashes {' '.join(map(str, needed))} -o {folder / REQUIREMENTS}"
        )
    at = f" --project {arguments.project}" if arguments.project else ""
    for repo, path in made.repos.items():
        session.say(f"  {session.program} create repo {repo}{at}")
        recursive = " -r" if (folder / path).is_dir() else ""
        session.say(f"  {session.program} put file{recursive} {repo}@master:/{path} -f {folder / path}{at}")
    specs = " ".join(str(folder / name) for name in made.files if name.endswith(".json"))
    session.say(f"  pachlet apply --code {folder} {specs}")


def _refuse_to_change(folder: Path, files: dict[str, str]) -> None:
    changed = [name for name, text in files.items() if _text(folder / name) not in ("", text)]
    if changed:
        raise AlreadyExists(
            f"{', '.join(changed)} would be changed", hint="nothing was written; -f writes them anew"
        )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError):
        return "something else"


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise PachletError(f"cannot write {path}: {error.strerror}") from None
