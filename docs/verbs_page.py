"""Make docs/verbs.md: every verb of the command line, with its flags.

Read next: pachlet/cli/registry.py.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from importlib import import_module

from pachlet.cli.main import parser_of
from pachlet.cli.registry import FAMILIES, Verb
from pachlet.cli.spelling import ELSEWHERE

_HEAD = """# The verbs

Made from the code by `make docs`. `pachctl VERB --help` tells more about each, `pachctl completion bash --install` lets
the shell complete them. Nouns may be in the plural. What Pachyderm 1.x wrote with a hyphen (`create-pipeline`,
`list-job`, `get-logs`) is understood, with a line on stderr that says how it is written today. All take `-v`,
`--no-color`, `--events`, `--rpc-timeout 30s` and `-h`; `-o json` and `-o yaml` show the server's answer as it is.

What takes longer than two seconds says so on stderr: redrawn in place on a terminal, as a line now and then elsewhere.
With `--events`, and with `-o json`, it is lines of JSON that a program can read
([events.py](../pachlet/cli/events.py) shows each). The output holds results only.
"""

_GONE = """
## Verbs of Pachyderm that are not here

| Verb | Instead |
| --- | --- |
"""
_FEW = 5  # choices that are listed
_EVERYWHERE = {
    "-v",
    "--verbose",
    "--no-color",
    "--events",
    "--rpc-timeout",
    "-h",
    "--help",
    "--raw",
    "--full-timestamps",
}


def page() -> str:
    """Return the page as Markdown."""
    families = "".join(_family(title, verbs) for title, verbs in FAMILIES.items())
    gone = "".join(f"| `{verb}` | {told.format(program='pachctl')} |\n" for verb, told in ELSEWHERE.items())
    return _HEAD + families + _GONE + gone


def _family(title: str, verbs: tuple[Verb, ...]) -> str:
    rows = "".join(f"| `{_usage(verb)}` | {verb.help} |\n" for verb in verbs)
    return f"\n## {title[0].upper()}{title[1:]}\n\n| Verb | What it does |\n| --- | --- |\n{rows}"


def _usage(verb: Verb) -> str:
    parser = parser_of(verb, "pachctl", import_module(f"pachlet.cli.verbs.{verb.module}"))
    return " ".join([verb.name, *_words(parser)]).replace("|", "\\|")


def _words(parser: ArgumentParser) -> Iterator[str]:
    """Yield a verb's arguments, then its flags, without those that all or most verbs have."""
    for action in parser._actions:
        if not action.option_strings:
            shown = action.metavar if isinstance(action.metavar, str) else action.dest
            yield f"[{shown}]" if action.nargs in ("?", "*") else shown
    for action in parser._actions:
        if action.option_strings and not set(action.option_strings) & _EVERYWHERE:
            flag = action.option_strings[0]
            value = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
            choices = [str(each) for each in action.choices or ()]
            if 0 < len(choices) < _FEW:
                value = "|".join(choices)
            yield f"[{flag}]" if action.nargs == 0 else f"[{flag} {value}]"
