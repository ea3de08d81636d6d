"""check status: which pipelines have worked for longer than was expected of them.

Read next: pipeline.py.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator

from pachlet.cli import flags
from pachlet.cli.output import Table, show_raw, wants_raw
from pachlet.cli.session import Session
from pachlet.client.connection import Message
from pachlet.client.pipelines import check_status as ask


def check_status_arguments(parser: ArgumentParser) -> None:
    flags.add_project(parser)
    flags.add_all_projects(parser)
    flags.add_raw(parser)


def check_status(session: Session, arguments: Namespace) -> None:
    answers: Iterator[Message] = ask(session.connection, all_projects=arguments.all_projects)
    if wants_raw(arguments):
        show_raw(session, arguments, answers)
        return
    table, has_alerts = Table(session, "PROJECT", "PIPELINE", "ALERTS"), False
    for answer in answers:
        project = answer.project.name or answer.pipeline.project.name
        for alert in answer.alerts:
            table.add(project, answer.pipeline.name, alert)
            has_alerts = True
    table.show()
    if not has_alerts:
        every = " -A" if arguments.all_projects else ""
        session.say(
            "no pipeline has worked for longer than its maximum_expected_uptime;"
            f" `{session.program} list pipeline{every}` says how each is, and why"
        )
