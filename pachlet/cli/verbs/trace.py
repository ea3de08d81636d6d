"""trace: all that a file was made of, down to what users put and the code that ran; or all that was made of it.

A place is a file, a folder, a commit or, as it is that of its output commit, a job.

Read next: pachlet/client/lineage/.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from pachlet.cli import flags
from pachlet.cli.output import show_value
from pachlet.cli.session import Session
from pachlet.client.lineage.asking import LIMIT
from pachlet.client.lineage.asking import trace as follow
from pachlet.client.lineage.graph import Graph

if TYPE_CHECKING:
    from pachlet.cli.graph import model

_FORMS = ("text", "json", "yaml", "svg", "openlineage")


def trace_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "place", metavar="repo@commit[:path]", help="a file, a folder, a commit, or a job as pipeline@job"
    )
    parser.add_argument(
        "--down", action="store_true", help="show what was made of it, not what it was made of"
    )
    parser.add_argument(
        "--limit",
        type=flags.count,
        default=LIMIT,
        metavar="N",
        help=f"datums to follow behind a folder, or at each pipeline that read a file ({LIMIT}; 0 is all)",
    )
    parser.add_argument(
        "-o", "--output", choices=_FORMS, default="text", help="openlineage is an event a line, as JSON"
    )
    flags.add_project(parser)


def trace(session: Session, arguments: Namespace) -> None:
    graph = follow(session.connection, arguments.place, down=arguments.down, limit=arguments.limit)
    match arguments.output:
        case "json" | "yaml" as form:
            show_value(session, form, graph.as_data())
        case "svg":
            from pachlet.cli.graph.svg import svg

            to = "What was made of" if graph.is_down else "What made"
            for line in svg(picture_of(graph), f"{to} {graph.root}"):
                session.print(line)
        case "openlineage":
            from pachlet.client.lineage.openlineage import events

            for event in events(graph, str(session.connection.address)):
                session.print(json.dumps(event))
        case _:
            from pachlet.client.lineage.text import tree

            for line in tree(graph):
                session.print(line)


def picture_of(graph: Graph) -> model.Graph:
    """Return what is drawn: files as repos are, runs as pipelines are, data flowing down."""
    from pachlet.cli.graph.model import Graph as Picture
    from pachlet.cli.graph.model import Key, Node

    def of_file(place: int) -> Key:
        return "file", str(place)

    def of_run(place: int) -> Key:
        return "run", str(place)

    nodes = {
        of_file(n): Node(of_file(n), f"{f.repo}:{f.path}", about=str(f)) for n, f in enumerate(graph.files)
    }
    for number, run in enumerate(graph.runs):
        word = {"success": "success", "failed": "failure"}.get(run.state, run.state or "unknown")
        about = f"job {run.job}, datum {run.datum}\n{run.code}"
        nodes[of_run(number)] = Node(of_run(number), run.pipeline, word, about)
    edges = [(of_run(run), of_file(n)) for n, file in enumerate(graph.files) for run in file.runs]
    edges += [(of_file(file), of_run(n)) for n, run in enumerate(graph.runs) for file in run.files]
    if graph.is_down:
        edges = [(to, start) for start, to in edges]
    return Picture(nodes, list(dict.fromkeys(edges)))
