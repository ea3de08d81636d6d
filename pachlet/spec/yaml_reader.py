"""Read YAML with the position of every key and value.

PyYAML finds the structure; what a plain word means is decided here, because PyYAML follows YAML 1.1, where
`no` is false and `12:30` is a number of minutes, while Pachyderm's reader follows 1.2. Tags and merge keys
are refused rather than guessed at, and anchors may not blow a small text up.

Read next: positions.py (the tree), json_reader.py (the other format).
"""

from __future__ import annotations

import re
from typing import NoReturn

import yaml

from pachlet.spec.positions import (
    MAX_DEPTH,
    MAX_DIGITS,
    START,
    Entry,
    Lines,
    List,
    Node,
    Object,
    Position,
    Scalar,
    Span,
    Value,
    below,
    quoted,
    shortened,
)
from pachlet.spec.problems import Findings

MAX_NODES = 200_000  # after aliases are written out

_INTEGER = re.compile(r"[-+]?[0-9]+|0x[0-9a-fA-F]+|0o[0-7]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NULLS = {"", "~", "null", "Null", "NULL"}
_TRUTHS = {word: word.lower() == "true" for word in ("true", "True", "TRUE", "false", "False", "FALSE")}
_PLAIN_TAG = re.compile(r"tag:yaml\.org,2002:(str|map|seq)")


def read_yaml(text: str, findings: Findings) -> list[Node]:
    """Return the documents in a text; raise SpecError where it can't be read on."""

    def fail(
        at: Position, problem: str, *, rule: str = "syntax", hint: str = "", span: Span = (0, 0)
    ) -> NoReturn:
        findings.fail(rule, at, "", problem, hint=hint, span=span)

    reader = _Reader(text, findings)
    try:
        documents = list(yaml.compose_all(text, Loader=yaml.BaseLoader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = f"this is not YAML: {', '.join(filter(None, [error.context, error.problem]))}"
        span = (mark.index, mark.index + 1) if mark else (0, 0)
        fail(_position(mark) if mark else START, problem, hint=_hint(error.problem or ""), span=span)
    except yaml.reader.ReaderError as error:
        at = Lines(text).position(error.position)
        problem = f"found the character \\u{ord(text[error.position]):04x}, wanted text"
        fail(at, problem, hint="is this file a spec?", span=(error.position, error.position + 1))
    except RecursionError:
        fail(START, "found lists in lists without end, wanted a spec", rule="too-large")
    except (
        yaml.YAMLError,
        ValueError,
        OverflowError,
    ) as error:  # PyYAML lets the latter two slip for bad escapes
        fail(START, f"this is not YAML: {' '.join(str(error).split())}")
    # A document of nothing, as after a last `---`, is no spec and no mistake.
    return [reader.node(document, "") for document in documents if not _is_nothing(document)]


def _is_nothing(node: yaml.Node | None) -> bool:
    return node is None or (isinstance(node, yaml.ScalarNode) and not node.style and node.value in _NULLS)


def _hint(problem: str) -> str:
    if "\\t" in problem:
        return "indent with spaces, not tabs"
    if "escape character" in problem:
        return "write \\\\ for a backslash, or put the string in single quotes"
    return ""


def _position(mark: yaml.Mark) -> Position:
    return Position(mark.line + 1, mark.column + 1)


class _Reader:
    def __init__(self, text: str, findings: Findings) -> None:
        self.text = text
        self.findings = findings
        self.nodes = 0
        self.around: list[yaml.Node] = []  # the nodes that hold the one being read

    def node(self, node: yaml.Node, path: str) -> Node:
        at, span = _position(node.start_mark), (node.start_mark.index, node.start_mark.index + 1)
        self.nodes += 1
        if node in self.around:
            problem = "found an alias within what it stands for, wanted something finite"
            self.findings.fail("too-large", at, path, problem, span=span)
        if len(self.around) > MAX_DEPTH or self.nodes > MAX_NODES:
            problem = "found more than a spec can hold, wanted less"
            self.findings.fail("too-large", at, path, problem, span=span)
        self.around.append(node)
        read = self._read(node, path, at)
        self.around.pop()
        return read

    def _read(self, node: yaml.Node, path: str, at: Position) -> Node:
        if not _PLAIN_TAG.fullmatch(node.tag):
            start = node.start_mark.index
            hint, problem = (
                "write the value without ! before it",
                f"found the tag {quoted(node.tag)}, wanted none",
            )
            self.findings.report("tag", at, path, problem, span=(start, start + len(node.tag)), hint=hint)
        if isinstance(node, yaml.MappingNode):
            entries = self._entries(node, path)
            return Object(at, entries, span=self._span(node, [entry.value for entry in entries]))
        if isinstance(node, yaml.SequenceNode):
            items = [self.node(item, f"{path}[{n}]") for n, item in enumerate(node.value)]
            return List(at, items, span=self._span(node, items))
        span = self._span(node, [])
        if not isinstance(node, yaml.ScalarNode) or node.style is not None:
            return Value(at, node.value, span=span)
        if len(node.value) > MAX_DIGITS and (_INTEGER.fullmatch(node.value) or _FLOAT.fullmatch(node.value)):
            problem = f"found the number {shortened(node.value)}, wanted one of fewer digits"
            self.findings.report("too-large", at, path, problem, span=span)
            return Value(at, node.value, span=span)
        return Value(at, plain(node.value), span=span)

    def _span(self, node: yaml.Node, within: list[Node]) -> Span:
        """Return where a node stands; PyYAML counts what follows a block up to the next word to it."""
        start, end = node.start_mark.index, node.end_mark.index
        if isinstance(node, yaml.CollectionNode) and not node.flow_style and within:
            end = max(inner.span[1] for inner in within)
        return start, max(start + len(self.text[start:end].rstrip()), start)

    def _entries(self, node: yaml.MappingNode, path: str) -> list[Entry]:
        entries: dict[str, Entry] = {}
        for key, value in node.value:
            at, span = _position(key.start_mark), self._span(key, [])
            if not isinstance(key, yaml.ScalarNode):
                problem = f"found a {key.id} as a key, wanted a string"
                self.findings.report("wrong-kind", at, path, problem, span=span)
            elif key.value in entries:
                problem = f"found the key {quoted(key.value)} again, wanted each key once"
                hint = f"it stands at line {entries[key.value].at.line} already; keep one of the two"
                self.findings.report("duplicate-key", at, path, problem, span=span, hint=hint)
            else:
                inner = self.node(value, below(path, key.value))
                entries[key.value] = Entry(key.value, at, inner, span)
        return list(entries.values())


def plain(text: str) -> Scalar:
    """Return what an unquoted word means in YAML 1.2."""
    if text in _NULLS:
        return None
    if text in _TRUTHS:
        return _TRUTHS[text]
    if _INTEGER.fullmatch(text):
        return int(text, {"0x": 16, "0o": 8}.get(text[:2], 10))
    if _FLOAT.fullmatch(text):
        return float(text)
    return text
