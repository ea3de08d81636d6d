"""apply: create or update pipelines where their spec or their code changed, and say why.

Read next: pachlet/client/apply.py (what is compared), ../code.py.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path

from pachlet.cli import flags
from pachlet.cli.session import Session
from pachlet.cli.verbs.specs import read_specs
from pachlet.errors import NotFound

_SPECS = (".json", ".yaml", ".yml")


def apply_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", metavar="path", help="a spec, or a folder of specs")
    parser.add_argument(
        "--code", type=Path, default=Path(), metavar="DIR", help="where images/ is (default: here)"
    )
    flags.add_project(parser)


def apply(session: Session, arguments: Namespace) -> None:
    from pachlet.cli.code import code_under
    from pachlet.client.apply import apply_specs

    sources = [source for path in arguments.paths for source in spec_files(path)]
    specs = [spec for source in sources for spec in read_specs(session, source)]
    apply_specs(
        session.connection,
        specs,
        code_under(arguments.code),
        tell=lambda done: session.print(str(done)),
    )


def spec_files(path: str) -> Iterator[str]:
    """Yield the specs that a path means: itself, or all below it in the order of their names."""
    if not Path(path).is_dir():
        yield path
        return
    found = sorted(str(each) for each in Path(path).rglob("*") if each.suffix in _SPECS and each.is_file())
    if not found:
        raise NotFound(f"there is no spec in {path}", hint="specs are .json, .yaml or .yml files")
    yield from found
