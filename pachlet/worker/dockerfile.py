"""Read the part of a Dockerfile that the process runner understands.

A step's image is described once, in a Dockerfile that a container engine can build. The process runner
reads the same file, so it accepts only what it can honour exactly: ARG BASE, FROM, COPY of plain files
and folders, one form of RUN (installing hash-checked requirements), WORKDIR, ENV and LABEL. Anything else
is refused with file and line, because a step that ran here and not in its container would be worse.

Read next: images.py (what the instructions add up to).
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from pachlet.errors import InvalidArgument

INSTALL = ("pip", "install", "--no-cache-dir", "--require-hashes", "-r")
"""The one RUN that is understood, followed by the path of a file that was copied before."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_VARIABLE = re.compile(r"\$\{(\w+)\}|\$(\w+)")


@dataclass(frozen=True)
class Instruction:
    """One instruction: its keyword, its words with variables filled in, and where it stands."""

    keyword: str
    words: tuple[str, ...]
    file: str
    line: int

    def refuse(self, problem: str, hint: str = "") -> InvalidArgument:
        """Return the error that says what is wrong with this instruction."""
        return InvalidArgument(f"{self.file}:{self.line}: {problem}", hint=hint or _SUBSET)


_SUBSET = (
    f"the process runner understands ARG, FROM, COPY, RUN {' '.join(INSTALL)} FILE, WORKDIR, ENV and LABEL"
)


def read_dockerfile(path: Path, name: str) -> list[Instruction]:
    """Return the instructions of the Dockerfile at `path`, FROM first; `name` is how errors call the file."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as problem:
        raise InvalidArgument(f"{name}:1: this is not text in UTF-8 ({problem.reason})") from None
    arguments: dict[str, str] = {}
    found: list[Instruction] = []
    for line, source in _logical_lines(text):
        instruction = _parse(source, name, line)
        if instruction.keyword == "ARG":
            _declare(instruction, arguments, found)
            continue
        if instruction.keyword == "FROM":
            instruction = _fill(instruction, arguments)
        if (instruction.keyword == "FROM") != (not found):
            raise instruction.refuse(
                "FROM must come first, and only once: an image is built in one stage", "use one FROM"
            )
        _CHECKS[instruction.keyword](instruction)
        found.append(instruction)
    if not found:
        raise InvalidArgument(f"{name}:1: there is no FROM", hint=_SUBSET)
    return found


def _logical_lines(text: str) -> list[tuple[int, str]]:
    """Join continued lines and drop comments and blank lines; each with the number of its first line."""
    lines: list[tuple[int, str]] = []
    start, parts = 0, [""]
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue  # also inside of a continued instruction, as Docker does
        start = start or number
        if line.rstrip().endswith("\\"):
            parts.append(line.rstrip()[:-1])
            continue
        lines.append((start, " ".join([*parts, line]).strip()))
        start, parts = 0, [""]
    if start:
        lines.append((start, " ".join(parts).strip()))
    return lines


def _parse(source: str, name: str, line: int) -> Instruction:
    keyword, _, rest = source.partition(" ")
    bare = Instruction(keyword.upper(), (), name, line)
    if bare.keyword not in _CHECKS:
        raise bare.refuse(f"{keyword} is not understood by the process runner")
    try:
        words = shlex.split(rest)
    except ValueError as problem:
        raise bare.refuse(f"{problem}".lower()) from None
    if not words:
        raise bare.refuse(f"{bare.keyword} needs something after it")
    return Instruction(bare.keyword, tuple(words), name, line)


def _declare(argument: Instruction, arguments: dict[str, str], found: list[Instruction]) -> None:
    key, equals, value = argument.words[0].partition("=")
    if found or not equals or len(argument.words) > 1 or not _NAME.fullmatch(key):
        raise argument.refuse(
            "ARG must stand before FROM and give a default", "write ARG BASE=<image> above FROM ${BASE}"
        )
    arguments[key] = value


def _fill(instruction: Instruction, arguments: dict[str, str]) -> Instruction:
    def value(match: re.Match[str]) -> str:
        key = match[1] or match[2]
        if key not in arguments:
            raise instruction.refuse(f"no ARG gives {key} a value", f"write ARG {key}=<image> above it")
        return arguments[key]

    words = tuple(_VARIABLE.sub(value, word) for word in instruction.words)
    return Instruction(instruction.keyword, words, instruction.file, instruction.line)


def _check_from(instruction: Instruction) -> None:
    if len(instruction.words) != 1:
        raise instruction.refuse("FROM takes the name of one image and nothing else")


def _check_copy(instruction: Instruction) -> None:
    words = instruction.words
    if len(words) < 2:
        raise instruction.refuse("COPY needs a source and a destination")
    if words[0].startswith(("-", "[")):
        raise instruction.refuse(f"COPY {words[0]} is not understood", "write COPY source... destination")
    for word in words:
        if "$" in word:
            raise instruction.refuse(f"COPY {word}: variables are not understood here", "write the path out")
    for source in words[:-1]:
        if any(sign in source for sign in "*?["):
            raise instruction.refuse(f"COPY {source}: patterns are not understood", "name each file")
        if ".." in source.split("/"):
            raise instruction.refuse(f"COPY {source}: the file is outside of the code folder")


def _check_run(instruction: Instruction) -> None:
    words = instruction.words
    if words[: len(INSTALL)] != INSTALL or len(words) != len(INSTALL) + 1:
        raise instruction.refuse(
            "this RUN is not understood by the process runner",
            f"the only form is RUN {' '.join(INSTALL)} FILE",
        )


def _check_workdir(instruction: Instruction) -> None:
    if len(instruction.words) != 1 or not instruction.words[0].startswith("/"):
        raise instruction.refuse("WORKDIR needs one absolute path")


def _check_env(instruction: Instruction) -> None:
    for word in instruction.words:
        key, equals, value = word.partition("=")
        if not equals or not _NAME.fullmatch(key):
            raise instruction.refuse(f"ENV {word} is not NAME=value", "write ENV NAME=value")
        if "$" in value:
            raise instruction.refuse(f"ENV {word}: variables are not understood here", "write the value out")


def _check_nothing(instruction: Instruction) -> None:
    """ARG is checked where it is declared; a LABEL changes nothing that a step can see."""


_CHECKS = {
    "ARG": _check_nothing,
    "FROM": _check_from,
    "COPY": _check_copy,
    "RUN": _check_run,
    "WORKDIR": _check_workdir,
    "ENV": _check_env,
    "LABEL": _check_nothing,
}
