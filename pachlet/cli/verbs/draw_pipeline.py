"""draw pipeline: which repos and pipelines feed which, and how each is.

On a terminal boxes are drawn, as upstream does, or a tree of lines where boxes would not fit. `-o svg` gives a
picture. In the tree a pipeline with several inputs appears below each of them, with its own readers below the
last one only.

Read next: ../graph/, pipeline.py.
"""

from __future__ import annotations

import shutil
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pachlet.cli import flags
from pachlet.cli.session import Session
from pachlet.client.connection import Message
from pachlet.client.pipelines import list_pipeline
from pachlet.errors import PachletError

if TYPE_CHECKING:
    from pachlet.cli.graph.model import Graph

_Node = tuple[str, str]
_MANY = 150  # nodes; boxes of more are no picture any more


def draw_pipeline_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "-c", "--commit", type=flags.set_id, default="", metavar="ID", help="as it was at a commit set"
    )
    parser.add_argument(
        "--box-width", type=flags.count, default=0, help="columns of a box (default: as names need)"
    )
    parser.add_argument("--edge-height", type=flags.count, default=0, help="the least lines between rows")
    parser.add_argument("-o", "--output", choices=("boxes", "tree", "svg"), default="", help="how to draw")
    parser.add_argument("--svg", default="", metavar="FILE", help="write a picture to a file")
    flags.add_project(parser)
    flags.add_all_projects(parser)


def draw_pipeline(session: Session, arguments: Namespace) -> None:
    infos = list(
        list_pipeline(session.connection, commit_set=arguments.commit, all_projects=arguments.all_projects)
    )
    if arguments.commit and not infos:
        session.say(f"no pipeline had a job in {arguments.commit}")
    project = session.connection.project
    if arguments.svg or arguments.output == "svg":
        from pachlet.cli.graph.svg import svg

        title = "Pipelines of all projects" if arguments.all_projects else f"Pipelines of project {project}"
        picture = "".join(f"{line}\n" for line in svg(graph_of(infos, project), title))
        if arguments.svg:
            _write(arguments.svg, picture)
        else:
            session.out.write(picture)
        return
    for line in _letters(session, arguments, infos, project):
        session.print(line)


def _letters(session: Session, arguments: Namespace, infos: list[Message], project: str) -> Iterator[str]:
    """Yield a drawing in letters: boxes if they fit, or the tree."""
    from pachlet.cli.graph.boxes import boxes

    graph = graph_of(infos, project)
    if arguments.output != "tree" and (arguments.output == "boxes" or len(graph.nodes) <= _MANY):
        lines = list(boxes(graph, width=arguments.box_width, height=arguments.edge_height))
        room = shutil.get_terminal_size().columns if session.out.isatty() else 0
        if arguments.output == "boxes" or not room or max(map(len, lines), default=0) <= room:
            yield from lines
            return
    yield from drawing({_key(info): inputs_of(info) for info in infos}, project)


def graph_of(infos: list[Message], project: str) -> Graph:
    """Return what pipelines read and how they are; names of `project` go without it."""
    from pachlet.cli.graph.model import Graph, Node

    reads = {_key(info): inputs_of(info) for info in infos}
    nodes = {
        key: Node(key, _name(key, project))
        for sources in reads.values()
        for key in sources
        if key not in reads
    }
    for info in infos:
        key = _key(info)
        nodes[key] = Node(key, _name(key, project), _word(info), info.reason or info.details.description)
    edges = [(source, key) for key, sources in reads.items() for source in sources if source != key]
    return Graph(nodes, edges)


def drawing(reads: dict[_Node, list[_Node]], project: str) -> Iterator[str]:
    """Yield the lines of a tree, given what each pipeline reads."""
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


def inputs_of(info: Message) -> list[_Node]:
    """Return the repos that a pipeline reads, each once."""
    return list(dict.fromkeys(_inputs(info.details.input)))


def _inputs(part: Message) -> Iterator[_Node]:
    if part.HasField("pfs"):
        yield part.pfs.project, part.pfs.repo
    if part.HasField("cron"):
        yield part.cron.project, part.cron.repo or part.cron.name
    for kind in (part.cross, part.union, part.join, part.group):
        for inner in kind:
            yield from _inputs(inner)


def _key(info: Message) -> _Node:
    return info.pipeline.project.name, info.pipeline.name


def _name(node: _Node, project: str) -> str:
    return node[1] if node[0] == project else "/".join(node)


def _word(info: Message) -> str:
    """Return how a pipeline is, in one word: its own state if that is not the usual one, else its last job's."""
    from pachlet.wire import schema

    state = schema.enum_name("pps_v2.PipelineState", info.state).removeprefix("PIPELINE_").lower()
    job = schema.enum_name("pps_v2.JobState", info.last_job_state).removeprefix("JOB_").lower()
    if state in ("running", "standby") and job != "state_unknown":
        return job
    return state if state != "state_unknown" else "created"


def _write(path: str, text: str) -> None:
    try:
        Path(path).write_text(text)
    except (OSError, ValueError) as error:
        raise PachletError(f"cannot write {path}: {error}") from None
