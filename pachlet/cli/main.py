"""From the words of a command to its verb, and from whatever happens to an exit status.

0: done. 1: it could not be done, and one line on stderr says why and what to do. 2: the words are off. 130:
Ctrl-C. An exception that is not for users is a bug and is reported as one, without a traceback unless
PACHLET_TRACEBACK is set. Nothing is imported before it is needed: a short command spends its time in the
interpreter's own start. What every command imports has named tuples for its values, because dataclasses take longer to
import than all that has them.

Read next: registry.py, session.py.
"""

from __future__ import annotations

import errno
import gc
import io
import os
import sys
from argparse import Action, ArgumentParser, Namespace
from collections.abc import Sequence
from typing import Any, NoReturn

from pachlet import __version__
from pachlet.cli import registry
from pachlet.cli.flags import seconds
from pachlet.cli.session import Session
from pachlet.errors import PachletError, Unimplemented, Usage

_STATUS = "0 when it is done, 1 when it could not be done, 2 when the words are off, 130 after Ctrl-C."
_INTERRUPTED = 130
_PIPE_CLOSED = 141  # what a shell reports for a program that SIGPIPE ended
_COLLECT_AFTER = 50_000
"""So many new objects are not looked through for garbage: modules make as many, and none of them is."""


_YES, _NO = ("true", "t", "1"), ("false", "f", "0")


class _Name(str):
    """A word that stands behind `--`, so that it is no flag however it begins."""


class Parser(ArgumentParser):
    """An argument parser whose complaints are errors like all others, and that takes words as pachctl does."""

    program = "pachctl"

    def spelled(self, words: Sequence[str]) -> list[str]:
        """Return words as Python's parser takes them: `--flag=true` as `--flag`, `--flag=false` left out, no `--`."""
        at = words.index("--") if "--" in words else len(words)
        taken = (self._switched(word) for word in words[:at])
        return [*(word for word in taken if word is not None), *map(_Name, words[at + 1 :])]

    def _switched(self, word: str) -> str | None:
        name, equals, value = word.partition("=")
        action = self._option_string_actions.get(name) if equals else None
        if action is None or not isinstance(action.const, bool) or action.nargs != 0:
            return word
        if value.lower() not in _YES + _NO:
            raise Usage(
                f"{name} is on or off, and {value!r} is neither", hint=f"write {name}, or {name}=false"
            )
        return name if value.lower() in _YES else None

    def _parse_optional(self, arg_string: str) -> Any:
        return None if isinstance(arg_string, _Name) else super()._parse_optional(arg_string)

    def error(self, message: str) -> NoReturn:
        raise Usage(message, hint=f"see `{self.prog} --help`")

    def _get_values(self, action: Action, arg_strings: list[str]) -> Any:
        """Return what a flag or word is given; argparse takes the value of `-d--` for the end of the flags."""
        if action.option_strings and action.nargs is None and arg_strings == ["--"]:
            value = self._get_value(action, "--")
            self._check_value(action, value)
            return value
        return super()._get_values(action, arg_strings)

    def _check_value(self, action: Action, value: Any) -> None:
        """Refuse a word that is none of a flag's choices, and say which was meant."""
        if action.choices is None or value in action.choices:
            return
        from difflib import get_close_matches

        known = [str(each) for each in action.choices]
        near = get_close_matches(str(value), known, n=1)
        flag = "/".join(action.option_strings) or action.metavar or action.dest
        raise Usage(
            f"{flag} {value!r} is none of {', '.join(known)}",
            hint=f"did you mean {near[0]}?" if near else f"see `{self.prog} --help`",
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; the return value is its exit status."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # errors are told once, by us
    _stand_in_for_closed_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal may lack signs that a table has
        sys.stdout.reconfigure(errors="backslashreplace")
    program = os.path.basename(sys.argv[0]).removesuffix(".py")
    session = Session(os.environ, program=program if program in ("pachctl", "pachlet") else "pachctl")
    if argv is not None:
        return run(session, argv)
    gc.set_threshold(_COLLECT_AFTER)
    try:
        return run(session, sys.argv[1:])
    finally:
        gc.freeze()  # nor at the end: what is left goes with the process


def _stand_in_for_closed_streams() -> None:
    """Take the place of standard streams that whoever started us has closed, before a file or a socket gets it.

    The input and the output then fail when they are used, the one can't be read and the other not written; what would
    be said on stderr is lost.
    """
    for handle, mode in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(handle)
        except OSError:
            os.open(os.devnull, mode)  # the lowest number that is free is this one
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)


def run(session: Session, argv: Sequence[str]) -> int:
    """Run one command in a session; return the exit status."""
    try:
        try:
            status = _dispatch(session, list(argv))
            session.out.flush()
            return status
        finally:
            session.close()
    except PachletError as error:
        from pachlet.cli.hints import next_step

        hint = next_step(error, session.program)
        _report(session, f"{error.message}; {hint}" if hint else error.message)
        for line in getattr(error, "lines", ()):
            session.say(line)
        return error.exit_status
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        _forget_output(session)
        return _PIPE_CLOSED
    except SystemExit as end:  # argparse, after --help
        return end.code if isinstance(end.code, int) else 0
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _DISK:
            _forget_output(session)
            _report(session, f"cannot write {error.filename or 'the output'}: {error.strerror}")
            return 1
        if isinstance(error, OSError) and (said := _of_a_path(error)):
            _report(session, said)
            return 1
        if session.environ.get("PACHLET_TRACEBACK"):
            raise
        shown = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        _report(session, f"a bug in pachlet {__version__}: {shown}; {_REPORT}")
        return 1


# What a disk says, or an output that is closed, and no bug is.
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.EBADF}
_PATHS = {errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ENOTDIR, errno.ELOOP}


def _of_a_path(error: OSError) -> str:
    """Return what is wrong with a path that was given, wherever it is noticed; empty if it is something else."""
    if error.filename is not None and error.errno in _PATHS:
        return f"cannot use {error.filename}: {error.strerror}"
    if error.filename is None and error.errno == errno.ENOENT:  # of getcwd alone
        return "cannot use the current folder: it is gone; change to another"
    return ""


_REPORT = "please report it with the command and the output under PACHLET_TRACEBACK=1"


def _dispatch(session: Session, argv: list[str]) -> int:
    from pachlet.cli.spelling import modernise

    words = _global_flags(session, argv)
    if not words or words[0] in ("help", "-h", "--help"):
        return _help(session, words[1:])
    if words[0] == "--version":
        words = ["version", "--client-only"]
    spelled = modernise(words)
    if spelled.note:
        _report(session, f"note: {spelled.note.format(program=session.program)}")
    verb = registry.find(spelled.words)
    if verb is None:
        raise _unknown(session, spelled.words)
    return _run_verb(session, verb, spelled.words[len(verb.words) :])


def _run_verb(session: Session, verb: registry.Verb, rest: list[str]) -> int:
    from importlib import import_module

    module = import_module(f"pachlet.cli.verbs.{verb.module}")
    parser = parser_of(verb, session.program, module)
    arguments = parser.parse_intermixed_args(parser.spelled(rest))
    session.verbose = session.verbose or arguments.verbose
    session.plain = session.plain or arguments.no_color
    session.events = arguments.events or (
        hasattr(arguments, "raw") and getattr(arguments, "output", "") == "json"
    )
    session.rpc_timeout = arguments.rpc_timeout or session.rpc_timeout
    session.project_flag = getattr(arguments, "project", "")
    status = getattr(module, verb.function)(session, arguments)
    session.tell_staged()
    return int(status or 0)


def parser_of(verb: registry.Verb, program: str, module: Any) -> Parser:
    """Return the parser of one verb."""
    parser = Parser(
        prog=f"{program} {verb.name}",
        description=verb.help,
        epilog=f"Exit status: {getattr(module, f'{verb.function}_status', _STATUS)}",
        allow_abbrev=False,
        add_help=False,
    )
    getattr(module, f"{verb.function}_arguments")(parser)
    parser.add_argument("-v", "--verbose", action="store_true", help="say what is done")
    parser.add_argument("--no-color", action="store_true", help="no colours and no live display")
    parser.add_argument(
        "--events", action="store_true", help="say on stderr how far it is as lines of JSON; so does -o json"
    )
    parser.add_argument(
        "--rpc-timeout", type=seconds, default=0.0, metavar="30s", help="give up on a call after this long"
    )
    parser.add_argument("-h", "--help", action="help", help="show this help")
    return parser


def _global_flags(session: Session, argv: list[str]) -> list[str]:
    """Take the flags in front of the verb that hold for any verb."""
    words = list(argv)
    while words:
        if words[0] in ("-v", "--verbose"):
            session.verbose = True
        elif words[0] == "--no-color":
            session.plain = True
        elif words[0].startswith("--rpc-timeout="):
            session.rpc_timeout = seconds(words[0].partition("=")[2])
        elif words[0] == "--rpc-timeout" and len(words) > 1:
            session.rpc_timeout = seconds(words.pop(1))
        else:
            break
        del words[0]
    return words


def _help(session: Session, words: list[str]) -> int:
    if words:
        verb = registry.find(words)
        if verb is None:
            raise _unknown(session, words)
        return _run_verb(session, verb, ["--help"])
    session.print(f"usage: {session.program} VERB ...\n")
    session.print("Version data, run pipelines on it, and see where every result comes from.")
    for title, family in registry.FAMILIES.items():
        session.print(f"\n{title}:")
        for verb in family:
            session.print(f"  {verb.name:<18} {verb.help}")
    session.print(f"\n`{session.program} VERB --help` tells more about each.")
    session.print(f"Exit status: {_STATUS}")
    return 0


def _unknown(session: Session, words: list[str]) -> PachletError:
    from pachlet.cli.spelling import elsewhere

    known, instead = elsewhere(words)
    if known:
        return Unimplemented(f"pachlet has no `{known}`", hint=instead.format(program=session.program))
    typed = " ".join(words[:2])
    meant = registry.similar(words)
    hint = f"did you mean {' or '.join(f'`{name}`' for name in meant)}?" if meant else ""
    return Usage(f"unknown verb `{typed}`", hint=hint or f"see `{session.program} --help`")


def _report(session: Session, text: str) -> None:
    line = " ".join(text.split())
    try:
        session.say(line)
    except BrokenPipeError:
        return


def _forget_output(session: Session) -> None:
    """Keep the interpreter from complaining at its end that nobody reads any more."""
    if session.out is sys.stdout:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())


def parse(words: Sequence[str], program: str = "pachctl") -> Namespace:
    """Parse a command of 2.x without running it; for tests and for documentation that is checked."""
    from importlib import import_module

    verb = registry.find(list(words))
    if verb is None:
        raise Usage(f"unknown verb `{' '.join(words[:2])}`")
    module = import_module(f"pachlet.cli.verbs.{verb.module}")
    parser = parser_of(verb, program, module)
    return parser.parse_intermixed_args(parser.spelled(words[len(verb.words) :]))


if __name__ == "__main__":
    sys.exit(main())
