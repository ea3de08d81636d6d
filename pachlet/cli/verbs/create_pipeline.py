"""create and update pipeline: from a spec or a template, after a look at all that is wrong with it.

Read next: specs.py (reading), foreseeing.py (--dry-run), shipping_images.py (--build), apply.py (only what changed, in
order).
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

from pachlet.cli import flags
from pachlet.cli.session import Session
from pachlet.cli.verbs.foreseeing import foresee, foreseen
from pachlet.cli.verbs.grouping import warnings_at_the_end
from pachlet.cli.verbs.shipping_images import add_image_arguments, with_images
from pachlet.cli.verbs.specs import read_specs, rendered_specs
from pachlet.cli.verbs.waiting import report
from pachlet.client import pipelines
from pachlet.client.apply import REPROCESS
from pachlet.client.cluster import is_pachlet
from pachlet.errors import Unimplemented, Usage


def create_pipeline_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("-f", "--file", default="-", metavar="SPEC", help="JSON or YAML: a file, a URL or -")
    parser.add_argument("--jsonnet", default="", metavar="FILE", help="a template that gives specs")
    parser.add_argument(
        "--arg", action="append", default=[], metavar="K=V", help="an argument of the template"
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="show the effective spec, and how many datums would run and be kept; change nothing",
    )
    parser.add_argument(
        "--wait", action="store_true", help="wait for the jobs, and say how they went (pachlet's own)"
    )
    add_image_arguments(parser)
    parser.add_argument("-m", "--message", default="", help="why (pachlet's own); it is on the spec's commit")
    flags.add_project(parser)
    flags.add_output(parser)


def create_pipeline(session: Session, arguments: Namespace) -> int:
    return _create(session, arguments, update=False, reprocess=False)


def update_pipeline_arguments(parser: ArgumentParser) -> None:
    create_pipeline_arguments(parser)
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--reprocess", action="store_true", help="process all datums again")
    choice.add_argument(
        "--reprocess-failed",
        action="store_true",
        help="process what failed, was recovered or is new, and keep the rest whatever became of the code",
    )
    choice.add_argument(
        "--reprocess-glob",
        default="",
        metavar="GLOB",
        help="the same, and datums with an input path that the glob matches (pachlet's own)",
    )


def update_pipeline(session: Session, arguments: Namespace) -> int:
    return _create(session, arguments, update=True, reprocess=arguments.reprocess)


def _create(session: Session, arguments: Namespace, *, update: bool, reprocess: bool) -> int:
    if arguments.arg and not arguments.jsonnet:
        raise Usage("--arg is for templates", hint="name one with --jsonnet")
    if arguments.jsonnet:
        specs = rendered_specs(session, arguments.jsonnet, arguments.arg)
    else:
        specs = read_specs(session, arguments.file)
    specs = with_images(session, arguments, specs)
    asked = _asked(session, arguments) if update else ""
    with warnings_at_the_end(session) as warnings:
        for read in specs:
            spec = pipelines.with_annotation(read, REPROCESS, asked) if asked else read
            warnings.sending(spec["pipeline"]["name"])
            _send(session, arguments, spec, update=update, reprocess=reprocess)
    return _wait(session, specs) if arguments.wait and not arguments.dry_run else 0


def _send(
    session: Session, arguments: Namespace, spec: pipelines.Spec, *, update: bool, reprocess: bool
) -> None:
    with session.progress.waiting(f"{'updating' if update else 'creating'} {spec['pipeline']['name']}"):
        if arguments.dry_run:
            foresee(session, arguments, spec, update=update, reprocess=reprocess)
            return
        said = foreseen(session, spec, update=update, reprocess=reprocess) if update else []
        pipelines.create_pipeline(
            session.connection, spec, update=update, reprocess=reprocess, message=arguments.message
        )
    for line in said:
        session.say(f"{spec['pipeline']['name']}: {line}")
    if session.verbose:
        session.say(f"{'updated' if update else 'created'} {spec['pipeline']['name']}")


def _wait(session: Session, specs: Sequence[pipelines.Spec]) -> int:
    """Wait for the newest job of each pipeline; return 1 if any did not succeed."""
    from pachlet.client.jobs import list_job
    from pachlet.client.watch import wait_for

    if session.connection.transaction:
        raise Usage("--wait can't wait for what a transaction holds", hint="finish it, then `wait job`")
    named = [pipelines.with_project(spec, session.connection.project)["pipeline"] for spec in specs]
    typed = [f"{each['project']['name']}/{each['name']}" for each in named]
    newest = [info.job.id for name in typed for info in list_job(session.connection, name, number=1)]
    return report(session, wait_for(session.connection, newest, show=session.progress.jobs))


def _asked(session: Session, arguments: Namespace) -> str:
    """Return what an update asks to be run again, between nothing and everything."""
    if arguments.reprocess_glob and not is_pachlet(session.connection):
        raise Unimplemented(
            f"{session.connection.address} is not a pachlet server, and can't run only some datums again",
            hint="--reprocess runs all of them",
        )
    return arguments.reprocess_glob or ("failed" if arguments.reprocess_failed else "")
