"""draw pipeline: which repos and pipelines feed which, from the sources down.

Upstream draws boxes; a tree of lines stays readable with many pipelines and in any width. A pipeline with
several inputs appears below each of them, with its own readers below the last one only.

Read next: pipeline.py.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator

from pachlet.cli import flags
from pachlet.cli.session import Session
from pachlet.client.connection import Message
from pachlet.client.pipelines import list_pipeline

_Node = tuple[str, str]


def draw_pipeline_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("-c", "--commit", default="", metavar="ID", help="as it was at a commit set")
    parser.add_argument("--box-width", type=int, default=11, help="accepted and not needed")
    parser.add_argument("--edge-height", type=int, default=5, help="accepted and not needed")
    flags.add_project(parser)


def draw_pipeline(session: Session, arguments: Namespace) -> None:
    infos = list(list_pipeline(session.connection, commit_set=arguments.commit))
    reads = {
        (info.pipeline.project.name, info.pipeline.name): list(dict.fromkeys(_inputs(info.details.input)))
        for info in infos
    }
    for line in drawing(reads, session.connection.project):
        session.print(line)


def drawing(reads: dict[_Node, list[_Node]], project: str) -> Iterator[str]:
    """Yield the lines of a drawing, given what each pipeline reads."""
    readers: dict[_Node, list[_Node]] = {}
    for pipeline, sources in reads.items():
        for source in sources:
            readers.setdefault(source, []).append(pipeline)
    roots = [*(node for node in readers if node not in reads), *(node for node in reads if not reads[node])]
    missing = {node: len(sources) for node, sources in reads.items()}

    def below(node: _Node, first: str, rest: str) -> Iterator[str]:
        kind = "" if node in reads else " (repo)"
        waiting = missing.get(node, 0) > 0
        others = readers.get(node, [])
        yield f"{first}{_name(node, project)}{kind}{' ...' if waiting and others else ''}"
        for index, reader in enumerate(others if not waiting else ()):
            missing[reader] -= 1
            last = index == len(others) - 1
            yield from below(reader, rest + ("└─ " if last else "├─ "), rest + ("   " if last else "│  "))

    for root in sorted(dict.fromkeys(roots)):
        yield from below(root, "", "")


def _inputs(part: Message) -> Iterator[_Node]:
    if part.HasField("pfs"):
        yield part.pfs.project, part.pfs.repo
    if part.HasField("cron"):
        yield part.cron.project, part.cron.repo or part.cron.name
    for kind in (part.cross, part.union, part.join, part.group):
        for inner in kind:
            yield from _inputs(inner)


def _name(node: _Node, project: str) -> str:
    return node[1] if node[0] == project else "/".join(node)
