"""notify: tell by mail or webhook when a job set breaks, until it is told to stop.

What is secret is read from the environment or from a file that the environment names, never from the command line,
which every user of the machine can read.

Read next: pachlet/notify/watch.py, docs/notify.md.
"""

from __future__ import annotations

import getpass
import socket
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from pachlet.cli import flags
from pachlet.cli.output import counted
from pachlet.cli.session import Session
from pachlet.client import names
from pachlet.client.cluster import inspect_cluster
from pachlet.client.pipelines import list_pipeline
from pachlet.errors import PachletError, Unavailable, Usage
from pachlet.notify.channels import Channel, NotDelivered
from pachlet.notify.letter import Letter, trial
from pachlet.notify.mail import Mail
from pachlet.notify.memory import Memory
from pachlet.notify.watch import Wanted, Watcher
from pachlet.notify.webhook import Webhook

notify_status = (
    "0 when it is done, 1 when it could not be done or (with --once) something is not delivered, 2 when the words are "
    "off, 130 after Ctrl-C."
)


def notify_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--mail-to", action="append", default=[], metavar="ADDRESS", help="who gets a mail (repeatable)"
    )
    parser.add_argument("--mail-from", default="", metavar="ADDRESS", help="the sender (default: user@host)")
    parser.add_argument(
        "--smtp", default="localhost:25", metavar="HOST:PORT", help="the mail server (default localhost:25)"
    )
    parser.add_argument(
        "--webhook", action="store_true", help="post to the URL in the variable PACHLET_WEBHOOK_URL"
    )
    parser.add_argument(
        "--only", action="append", default=[], metavar="PATTERN", help="pipelines, such as 'PROJECT/*'"
    )
    parser.add_argument(
        "--link", default="", metavar="URL", help="a page about a job, with {id}, {project}, {pipeline}"
    )
    parser.add_argument(
        "--patience",
        default="1m",
        metavar="1m",
        help="how long a failure waits for the rest of its set (default 1m)",
    )
    parser.add_argument(
        "--every", default="30s", metavar="30s", help="how often the list of jobs is looked at (default 30s)"
    )
    parser.add_argument(
        "--since", default="", metavar="24h", help="at the first start, tell of job sets of this time, too"
    )
    parser.add_argument("--state", type=Path, default=None, metavar="FILE", help="where it remembers")
    parser.add_argument("--once", action="store_true", help="look once, tell, and end")
    parser.add_argument(
        "--dry-run", action="store_true", help="print what would be sent, and remember nothing"
    )
    parser.add_argument("--test", action="store_true", help="send a trial by each channel, and end")


def notify(session: Session, arguments: Namespace) -> int:
    channels: list[Channel] = (
        [_Printed(session)] if arguments.dry_run else _channels(session.environ, arguments)
    )
    server = session.connection.address.url
    if arguments.test:
        return _try_out(session, channels, server)
    wanted = Wanted(
        pipelines=arguments.only or ("*",),
        link=arguments.link,
        patience=flags.seconds(arguments.patience),
        every=max(0.1, flags.seconds(arguments.every)),
    )
    path = arguments.state or _default_state(session)
    memory = Memory(path, is_kept=not arguments.dry_run)
    try:
        if arguments.dry_run:
            memory.take_as_told(_Printed.name, _names(arguments))
        if arguments.since and memory.since is None:
            memory.advance(int((time.time() - flags.seconds(arguments.since)) * 1e9), set())
        watcher = Watcher(session.connection, memory, channels, wanted, session.say)
        _warn_of_none(session, arguments.only)
        if arguments.once:
            return _look_once(session, watcher)
        session.say(f"watching {server}; what was told is in {path}")
        watcher.run()
        return 0
    finally:
        memory.close()


def _look_once(session: Session, watcher: Watcher) -> int:
    is_delivered = watcher.look()
    # What runs it may be cron, which mails whatever is printed: nobody wants to be told of nothing every minute.
    if is_delivered and not watcher.told and (session.verbose or session.err.isatty()):
        going = counted(watcher.going, "broken job set")
        session.say(f"nothing to tell yet; not over: {going}" if watcher.going else "nothing to tell")
    return 0 if is_delivered else 1


def _warn_of_none(session: Session, patterns: Sequence[str]) -> None:
    """Say which patterns match no pipeline; one that they match may come yet."""
    if not patterns:
        return
    try:
        found = list(list_pipeline(session.connection, all_projects=True))
    except Unavailable:  # it is waited for later
        return
    known = [names.show_pipeline(each.pipeline) for each in found]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in known):
            session.say(
                f"--only {pattern!r} matches no pipeline of this server; it is held against PROJECT/PIPELINE"
            )


def _names(arguments: Namespace) -> list[str]:
    """Return the names of the channels that are asked for."""
    asked = ((Mail.name, arguments.mail_to), (Webhook.name, arguments.webhook))
    return [name for name, is_asked in asked if is_asked]


def _channels(environ: Mapping[str, str], arguments: Namespace) -> list[Channel]:
    channels: list[Channel] = []
    if arguments.mail_to:
        host, _, port = arguments.smtp.rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65535:
            raise Usage(
                f"--smtp {arguments.smtp!r} is no HOST:PORT", hint="write it like mail.example.org:587"
            )
        user = environ.get("PACHLET_SMTP_USER", "")
        password = _secret(environ, "PACHLET_SMTP_PASSWORD")
        if bool(user) != bool(password):
            raise Usage(
                "of PACHLET_SMTP_USER and PACHLET_SMTP_PASSWORD (or PACHLET_SMTP_PASSWORD_FILE) one is not set"
            )
        sender = arguments.mail_from or f"{getpass.getuser()}@{socket.getfqdn()}"
        channels.append(Mail(host, int(port), sender, arguments.mail_to, user, password))
    if arguments.webhook:
        url = _secret(environ, "PACHLET_WEBHOOK_URL")
        if not url:
            raise Usage("--webhook needs the variable PACHLET_WEBHOOK_URL or PACHLET_WEBHOOK_URL_FILE")
        channels.append(Webhook(url, _secret(environ, "PACHLET_WEBHOOK_TOKEN")))
    if not channels:
        raise Usage("whom to tell is not said", hint="give --mail-to ADDRESS, --webhook, or --dry-run")
    return channels


def _secret(environ: Mapping[str, str], name: str) -> str:
    """Return the value of a variable, or what is in the file that NAME_FILE names."""
    if path := environ.get(f"{name}_FILE", ""):
        try:
            return Path(path).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not a text"
            raise PachletError(f"{name}_FILE: cannot read {path}: {reason}") from None
    return environ.get(name, "")


def _default_state(session: Session) -> Path:
    """Return a file for the server by its own id: it stays the same when its address changes."""
    home = session.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    info = inspect_cluster(session.connection)
    return Path(home) / "pachlet" / f"notify-{info.deployment_id or info.id}.json"


def _try_out(session: Session, channels: list[Channel], server: str) -> int:
    failed = 0
    for channel in channels:
        try:
            channel.send(trial(server))
        except NotDelivered as error:
            session.say(error.message)
            failed += 1
        else:
            session.print(f"{channel.name}: the trial was accepted")
    return 1 if failed else 0


class _Printed:
    """The channel of --dry-run."""

    name = "print"

    def __init__(self, session: Session) -> None:
        self._session = session

    def send(self, letter: Letter) -> None:
        self._session.print(f"Subject: {letter.subject}\n\n{letter.text}")
        self._session.out.flush()
