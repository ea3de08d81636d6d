"""Whatever a file holds, reading it gives specs or one SpecError, and judging those one sentence."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pachlet.errors import PachletError
from pachlet.spec.defaults import effective_spec
from pachlet.spec.fields import SPEC, fields
from pachlet.spec.json_reader import read_json
from pachlet.spec.parse import parse_specs
from pachlet.spec.positions import List, Node, Object, SpecError, Value
from pachlet.spec.problems import Findings
from pachlet.spec.validate import validate_pipeline
from tests.examples import examples

FILENAMES = st.sampled_from(["a.json", "a.yaml", "-"])
GOOD = """{
  "pipeline": {"name": "edges", "project": {"name": "default"}},
  "transform": {"image": "x", "cmd": ["python", "-c", "print(\\"\\u00e9\\")"], "env": {"A": "b"}},
  "input": {"cross": [{"pfs": {"repo": "a", "glob": "/*"}}, {"cron": {"name": "t", "spec": "@daily"}}]},
  "datum_timeout": "90s", "datum_tries": 3, "resource_requests": {"cpu": 0.5}, "autoscaling": false
}"""


def judge(text: str | bytes, filename: str) -> None:
    try:
        specs = parse_specs(text, filename)
    except SpecError as error:
        shown = str(error)
    else:
        assert specs
        shown = ""
        for spec in specs:
            try:
                validate_pipeline(effective_spec(spec.json, {}, {}))
            except PachletError as error:
                shown = str(error)
    shown.encode()
    assert "Traceback" not in shown


def one_line(text: str | bytes, filename: str) -> None:
    found = None
    try:
        parse_specs(text, filename)
    except SpecError as error:
        found = error
    if found:
        assert str(found).startswith(f"{filename}:{found.at.line}:{found.at.column}: ")
        assert str(found).isprintable()
        assert found.hint.isprintable()


@settings(deadline=None)
@given(st.text() | st.binary(), FILENAMES)
def test_any_text(text: str | bytes, filename: str) -> None:
    judge(text, filename)
    one_line(text, filename)


@settings(max_examples=examples(3), deadline=None)
@given(st.text("{}[]\"':,-\\/#&*!|>%@`nul\t\n\r 1.eE+a\ufeff\x00\x85\u2028", max_size=30), FILENAMES)
def test_any_punctuation(text: str, filename: str) -> None:
    judge(text, filename)
    one_line(text, filename)


@settings(max_examples=examples(3), deadline=None)
@given(st.integers(0, len(GOOD)), st.integers(0, 6), st.text("{}[]\"':,\\ -#\n1u", max_size=3), FILENAMES)
def test_any_slip_in_a_good_spec(at: int, gone: int, put: str, filename: str) -> None:
    text = GOOD[:at] + put + GOOD[at + gone :]
    judge(text, filename)
    one_line(text, filename)


def messages(name: str, seen: frozenset[str] = frozenset()) -> set[str]:
    return {name}.union(
        *(
            messages(f.message, seen | {name})
            for f in fields(name).values()
            if f.message and f.message not in seen
        )
    )


KEYS = st.sampled_from(sorted({key for name in messages(SPEC) for key in fields(name)}))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 2**64)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3)
)
WORDS = st.sampled_from(["", "a", "out", "/*", "/(", "$1", "@daily", "90s", "EQUAL", "2026-01-31T08:00:00Z"])
VALUES = st.recursive(
    SCALARS | WORDS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4)
)


@st.composite
def objects(draw: st.DrawFn, name: str = SPEC, depth: int = 0) -> Any:
    """An object that is mostly as the schema wants it."""
    by_name = {field.name: field for field in fields(name).values()}
    chosen = draw(st.lists(st.sampled_from(sorted(by_name)), max_size=4, unique=True))
    made: dict[str, Any] = {"pipeline": {"name": "p"}} if name == SPEC else {}
    for field in (by_name[key] for key in chosen):
        if field.kind == "object" and depth < 4 and not field.is_map:
            value = draw(objects(field.message, depth + 1))
            made[field.name] = [value, draw(objects(field.message, depth + 1))] if field.repeated else value
        else:
            made[field.name] = draw(
                {"string": WORDS, "bool": st.booleans(), "integer": st.integers(0, 3)}.get(field.kind, VALUES)
            )
    return made


@settings(max_examples=examples(1.5), deadline=None)
@given(objects() | VALUES)
def test_any_value(value: Any) -> None:
    judge(json.dumps(value), "a.json")


def plain(node: Node) -> Any:
    if isinstance(node, Object):
        return {entry.key: plain(entry.value) for entry in node.entries}
    if isinstance(node, List):
        return [plain(item) for item in node.items]
    assert isinstance(node, Value)
    return node.value


@settings(deadline=None)
@given(st.dictionaries(st.text(), VALUES), st.sampled_from([None, 1]), st.booleans())
def test_our_json_is_pythons(value: dict[str, Any], indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    (node,) = read_json(text, Findings("a.json", strict=True))
    assert plain(node) == value
