"""completion bash, zsh and fish: print or install a script with which the shell completes verbs and flags.

The scripts hold all words, made from the verbs' own parsers, so that a press of the tab key starts no
program. Names of repos are not completed: they would need the server.

Read next: ../registry.py, where the verbs are from.
"""

from __future__ import annotations

import shlex
from argparse import SUPPRESS, ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from pachlet.cli.session import Session
from pachlet.errors import PachletError

Words = Mapping[str, Mapping[str, str]]
"""What may follow what: after `create`, the nouns; after `create repo`, its flags; each with its help."""


def completion_bash_arguments(parser: ArgumentParser) -> None:
    _arguments(parser, "/etc/bash_completion.d/pachctl")


def completion_bash(session: Session, arguments: Namespace) -> None:
    _give(session, arguments, bash)


def completion_zsh_arguments(parser: ArgumentParser) -> None:
    _arguments(parser, "_pachctl")


def completion_zsh(session: Session, arguments: Namespace) -> None:
    _give(session, arguments, zsh)


def completion_fish_arguments(parser: ArgumentParser) -> None:
    _arguments(parser, "~/.config/fish/completions/pachctl.fish")


def completion_fish(session: Session, arguments: Namespace) -> None:
    _give(session, arguments, fish)


def bash(words: Words) -> Iterator[str]:
    """Yield the lines of the script for bash."""
    yield "# completion of pachctl and pachlet for bash"
    yield "_pachctl() {"
    yield '  local first="" second="" word words current="${COMP_WORDS[COMP_CWORD]}"'
    yield '  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do'
    yield '    case "$word" in -*) continue ;; esac'
    yield '    if [ -z "$first" ]; then first="$word"; elif [ -z "$second" ]; then second="$word"; fi'
    yield "  done"
    yield '  for word in "$first $second" "$first"; do'
    yield '    case "${word% }" in'
    for before, after in words.items():
        yield f'      {shlex.quote(before)}) words="{" ".join(after)}" ;;'
    yield "      *) continue ;;"
    yield "    esac"
    yield '    COMPREPLY=($(compgen -W "$words" -- "$current"))'
    yield "    return"
    yield "  done"
    yield "}"
    yield "complete -o default -F _pachctl pachctl pachlet"


def zsh(words: Words) -> Iterator[str]:
    """Yield the lines of the script for zsh."""
    yield "#compdef pachctl pachlet"
    yield "_pachctl() {"
    yield '  local first="" second="" word'
    yield "  local -a found"
    yield '  for word in "${(@)words[2,CURRENT-1]}"; do'
    yield '    case "$word" in -*) continue ;; esac'
    yield '    if [[ -z "$first" ]]; then first="$word"; elif [[ -z "$second" ]]; then second="$word"; fi'
    yield "  done"
    yield '  for word in "$first $second" "$first"; do'
    yield '    case "${word% }" in'
    for before, after in words.items():
        pairs = " ".join(shlex.quote(f"{word}:{help}") for word, help in after.items())
        yield f"      {shlex.quote(before)}) found=({pairs}) ;;"
    yield "      *) continue ;;"
    yield "    esac"
    yield "    _describe word found"
    yield "    _files"
    yield "    return"
    yield "  done"
    yield "}"
    yield "compdef _pachctl pachctl pachlet"


def fish(words: Words) -> Iterator[str]:
    """Yield the lines of the script for fish."""
    yield "# completion of pachctl and pachlet for fish"
    yield "function __pachctl_after"
    yield "  set -l typed (string match -v -- '-*' (commandline -opc))"
    yield '  test "$typed[2..3]" = "$argv"'
    yield "end"
    yield "for program in pachctl pachlet"
    for before, after in words.items():
        for word, help in after.items():
            shown = f"-d {shlex.quote(help)}"
            yield f"  complete -c $program -n '__pachctl_after {before}' -a {shlex.quote(word)} {shown}"
    yield "end"


def all_words() -> Words:
    """Return what may follow what, from the verbs' parsers."""
    from importlib import import_module

    from pachlet.cli.main import parser_of
    from pachlet.cli.registry import VERBS

    words: dict[str, dict[str, str]] = {"": {}}
    for verb in VERBS.values():
        first, *rest = verb.words
        words[""].setdefault(first, verb.help if not rest else f"{first} ...")
        if rest:
            words.setdefault(first, {})[rest[0]] = verb.help
        parser = parser_of(verb, "pachctl", import_module(f"pachlet.cli.verbs.{verb.module}"))
        words[verb.name] = dict(_flags(parser))
    return words


def _flags(parser: ArgumentParser) -> Iterator[tuple[str, str]]:
    """Yield the words that a verb's parser knows: its flags, and what its arguments may be."""
    for action in parser._actions:
        help = action.help if action.help and action.help != SUPPRESS else ""
        for word in action.option_strings or action.choices or ():
            yield str(word), " ".join(help.replace("%%", "%").split())


def _arguments(parser: ArgumentParser, path: str) -> None:
    parser.add_argument("--install", action="store_true", help="write the script to its place")
    parser.add_argument("--path", default=path, metavar="F", help=f"that place (default {path})")


def _give(session: Session, arguments: Namespace, script: Callable[[Words], Iterator[str]]) -> None:
    lines = script(all_words())
    if not arguments.install:
        for line in lines:
            session.print(line)
        return
    path = Path(arguments.path).expanduser()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in lines))
    except (OSError, ValueError) as error:
        raise PachletError(f"cannot write {path}: {error}", hint="choose another place with --path") from None
    session.print(f'Completions installed in "{path}", you must restart your terminal to enable them.')
