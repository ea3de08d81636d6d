"""start, finish, stop, resume, inspect, list and delete transaction.

The open transaction is noted in the active context, where Pachyderm's other clients find it. While one is
open, the verbs that can wait in it say so on stderr (upstream says it on the output, where it gets between a
script and the id that `start commit` prints).

Read next: pachlet/client/transactions.py.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator

from pachlet.cli import flags
from pachlet.cli.output import show_list, show_one, when
from pachlet.cli.session import Session
from pachlet.client import names, transactions
from pachlet.client.connection import Message
from pachlet.client.context import active_transaction, set_transaction
from pachlet.errors import NotFound, Refused


def start_transaction_arguments(parser: ArgumentParser) -> None:
    return


def start_transaction(session: Session, arguments: Namespace) -> None:
    if waiting := active_transaction(session.environ):
        raise Refused(
            f'cannot start a new transaction, since transaction with ID "{waiting}" already exists',
            hint=f"see `{session.program} inspect transaction`; `finish`, `stop` or `delete` ends it",
        )
    identifier = transactions.start_transaction(session.connection)
    set_transaction(session.environ, identifier)
    session.print(f'started new transaction: "{identifier}"')


def finish_transaction_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("transaction", nargs="?", default="", help="its id, if it is not the active one")


def finish_transaction(session: Session, arguments: Namespace) -> None:
    identifier = _named(session, arguments)
    info = transactions.finish_transaction(session.connection, identifier)
    _forget(session, identifier)
    session.print(f"Completed transaction with {len(info.responses)} requests: {identifier}")


def stop_transaction_arguments(parser: ArgumentParser) -> None:
    return


def stop_transaction(session: Session, arguments: Namespace) -> None:
    identifier = _active(session)
    set_transaction(session.environ, "")
    session.print(f"Cleared active transaction: {identifier}")


def resume_transaction_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("transaction")


def resume_transaction(session: Session, arguments: Namespace) -> None:
    info = transactions.inspect_transaction(session.connection, arguments.transaction)
    set_transaction(session.environ, info.transaction.id)
    count = len(info.requests)
    session.print(f"Resuming existing transaction with {count} requests: {info.transaction.id}")


def delete_transaction_arguments(parser: ArgumentParser) -> None:
    finish_transaction_arguments(parser)


def delete_transaction(session: Session, arguments: Namespace) -> None:
    identifier = _named(session, arguments)
    transactions.delete_transaction(session.connection, identifier)
    _forget(session, identifier)


def inspect_transaction_arguments(parser: ArgumentParser) -> None:
    finish_transaction_arguments(parser)
    flags.add_output(parser)


def inspect_transaction(session: Session, arguments: Namespace) -> None:
    def lines(info: Message) -> Iterator[str]:
        yield f"ID: {info.transaction.id}"
        yield f"Started: {when(arguments, info.started)}"
        yield "Requests:"
        for index, request in enumerate(info.requests):
            response = info.responses[index] if index < len(info.responses) else None
            yield f"  {_in_words(request, response)}"
        if not info.requests:
            yield "  -"

    info = transactions.inspect_transaction(session.connection, _named(session, arguments))
    show_one(session, arguments, info, lines)


def list_transaction_arguments(parser: ArgumentParser) -> None:
    flags.add_output(parser)


def list_transaction(session: Session, arguments: Namespace) -> None:
    def row(info: Message) -> tuple[str, ...]:
        return info.transaction.id, when(arguments, info.started), str(len(info.requests))

    infos = transactions.list_transaction(session.connection)
    show_list(session, arguments, infos, ("TRANSACTION", "STARTED", "OPS"), row)


def _named(session: Session, arguments: Namespace) -> str:
    return arguments.transaction or _active(session)


def _active(session: Session) -> str:
    if identifier := active_transaction(session.environ):
        return identifier
    raise NotFound("no active transaction", hint=f"`{session.program} start transaction` opens one")


def _forget(session: Session, identifier: str) -> None:
    """Clear the active transaction if it is the one that is gone."""
    if active_transaction(session.environ) == identifier:
        set_transaction(session.environ, "")


def _in_words(request: Message, response: Message | None) -> str:
    """Say what a request in a transaction does, the way pachctl does."""
    kind = next((field.name for field, _ in request.ListFields()), "")
    body: Message = getattr(request, kind) if kind else request
    match kind:
        case "create_repo":
            return f"{'update' if body.update else 'create'} repo {names.show_repo(body.repo)}"
        case "delete_repo":
            return f"delete repo {names.show_repo(body.repo)}{' --force' if body.force else ''}"
        case "start_commit":
            made = response.commit.id if response is not None else "id not known"
            return f"start commit {_branch(body.branch)} ({made})"
        case "finish_commit":
            return f"finish commit {names.show_commit(body.commit)}"
        case "squash_commit_set":
            return f"squash commitset {body.commit_set.id}"
        case "create_branch":
            provenance = "".join(f" -p {_branch(each)}" for each in body.provenance)
            return f"create branch {_branch(body.branch)}{provenance}"
        case "delete_branch":
            return f"delete branch {_branch(body.branch)}{' --force' if body.force else ''}"
        case "update_job_state":
            return f"update job {body.job.id}"
        case "stop_job":
            return f"stop job {names.show_job(body.job)}"
        case "create_pipeline_v2":
            spec = body.create_pipeline_request
            name = names.show_pipeline(spec.pipeline) or _written_name(body.user_json)
            return f"{'update' if spec.update else 'create'} pipeline {name}"
    return f"a request that this program does not know ({kind or 'empty'})"


def _branch(branch: Message) -> str:
    return f"{names.show_repo(branch.repo)}@{branch.name}"


def _written_name(spec: str) -> str:
    """Return the name in a spec as its user wrote it; a server may keep a request in that form alone."""
    import json

    try:
        pipeline = json.loads(spec)["pipeline"]
        return f"{pipeline['project']['name']}/{pipeline['name']}"
    except (ValueError, LookupError, TypeError):
        return "with a spec that this program does not understand"
