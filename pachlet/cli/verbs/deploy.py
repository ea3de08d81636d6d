"""deploy: send a project's repos, data and pipelines to another server, with its images pushed to a registry.

Read next: pachlet/client/deploy.py, pachlet/remote/shipping.py, docs/deploy.md.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from pachlet.cli import flags
from pachlet.cli.session import Session
from pachlet.cli.verbs.grouping import warnings_at_the_end
from pachlet.cli.verbs.specs import read_specs, spec_files
from pachlet.errors import Usage

_PLACES = ("local", "google", "amazon", "microsoft", "custom")
"""Where Pachyderm 1.x was deployed to, by a verb of this name."""

if TYPE_CHECKING:
    from pachlet.client.context import Context
    from pachlet.remote.shipping import Shipyard


def deploy_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", metavar="path", help="a spec, or a folder of specs")
    parser.add_argument("--to", default="", metavar="grpc://HOST:PORT", help="the server")
    parser.add_argument(
        "--context", default="", metavar="NAME", help="or that of a context of pachctl's config"
    )
    parser.add_argument(
        "-r", "--registry", default="", metavar="HOST[/PATH]", help="where images are pushed, and pulled from"
    )
    parser.add_argument("-u", "--username", default="", help="whose images they are in the registry")
    parser.add_argument(
        "--data",
        action="append",
        default=[],
        metavar="REPO[:/PATH]=DIR",
        help="have a folder of a repo hold the files of a local one, and no others; may be given again",
    )
    parser.add_argument(
        "--code", type=Path, default=Path(), metavar="DIR", help="where images/ is (default: here)"
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would change")
    flags.add_project(parser)


def deploy(session: Session, arguments: Namespace) -> None:
    from pachlet.cli.code import code_under
    from pachlet.client.deploy import Data
    from pachlet.client.deploy import deploy as send

    if arguments.paths[0] in _PLACES and not Path(arguments.paths[0]).exists():
        raise Usage(
            f"`deploy {arguments.paths[0]}` is of Pachyderm 1.x, which had to be deployed",
            hint="`pachlet serve` is all that it takes here; `deploy` sends pipelines to another server",
        )
    data = [Data.parse(each) for each in arguments.data]
    sources = [source for path in arguments.paths for source in spec_files(path)]
    specs = [spec for source in sources for spec in read_specs(session, source)]
    target = _target(session, arguments)
    with ExitStack() as stack:
        connection = stack.enter_context(
            session.telling(target.connect(project=arguments.project, timeout=session.rpc_timeout or None))
        )
        yard = stack.enter_context(_Yard(session, arguments))
        warnings = stack.enter_context(warnings_at_the_end(session, connection))
        done = send(
            connection,
            specs,
            code_under(arguments.code),
            yard,
            data,
            dry_run=arguments.dry_run,
            tell=lambda each: session.print(str(each)),
            sending=warnings.sending,
        )
        where = str(connection.address)
    changed = sum(each.is_change for each in done)
    if not changed:
        session.print(f"nothing to do: {where} has all of it")
    elif arguments.dry_run:
        session.print(f"{changed} of {len(done)} would change at {where}; nothing was built, pushed or sent")


def _target(session: Session, arguments: Namespace) -> Context:
    from pachlet.client.context import context_of, named_context

    if bool(arguments.to) == bool(arguments.context):
        raise Usage("where to?", hint="give --to grpc://HOST:PORT, or --context NAME")
    if arguments.context:
        return named_context(session.environ, arguments.context)
    return context_of(session.environ, arguments.to)


class _Yard:
    """Pushes images of ours to the registry; the engine is looked for when the first one has to be built."""

    def __init__(self, session: Session, arguments: Namespace) -> None:
        self._say = session.say
        self._code = arguments.code
        self._registry = arguments.registry
        self._username = arguments.username
        self._opened: Shipyard | None = None

    def __enter__(self) -> _Yard:
        return self

    def __exit__(self, *_: object) -> None:
        if self._opened is not None:
            self._opened.close()

    def repository(self, reference: str) -> str:
        from pachlet.remote.shipping import repository_of

        return repository_of(reference, self._registry, self._username)

    def push(self, reference: str) -> str:
        from pachlet.remote.shipping import Shipyard

        if self._opened is None:
            self._opened = Shipyard(self._code, self._say)
        return self._opened.push(self._opened.build(reference), self._registry, self._username).pinned
