"""render: show the specs that a template gives with its arguments.

create and update take templates themselves, with --jsonnet; this is how to look first.

Read next: specs.py, pachlet/client/templates.py.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace

from pachlet.cli.output import show_value
from pachlet.cli.session import Session
from pachlet.cli.verbs.specs import render as render_template
from pachlet.errors import InvalidArgument


def render_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("template", metavar="file", help="jsonnet: a file, a URL or -")
    parser.add_argument(
        "--arg", action="append", default=[], metavar="K=V", help="an argument of the template"
    )
    parser.add_argument(
        "-o", "--output", choices=("json", "yaml"), default="json", help="the form (default: json)"
    )


def render(session: Session, arguments: Namespace) -> None:
    text = render_template(session, arguments.template, arguments.arg)
    try:
        show_value(session, arguments.output, json.loads(text))
    except ValueError:
        raise InvalidArgument(f"{arguments.template} gave what is no JSON") from None
