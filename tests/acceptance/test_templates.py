"""RenderTemplate: Jsonnet in, specs out, and nothing else out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pachlet.client.connection import Connection
from pachlet.errors import PachletError
from tests.acceptance.typed import Terminal
from tests.acceptance.words import PPS

pytest.importorskip("_jsonnet")
EDGES = """
function(suffix, src='images') {
  pipeline: { name: 'edges-' + suffix },
  input: { pfs: { name: 'images', glob: '/*', repo: src } },
  transform: { cmd: ['python3', '/edges.py'], image: 'pachyderm/opencv:0.0.1' },
  datumTries: 2,
}
"""


def render(connection: Connection, template: str, **arguments: str) -> Any:
    return connection.call(PPS, "RenderTemplate", {"template": template, "args": arguments})


def test_function_of_its_arguments(connection: Connection) -> None:
    answer = render(connection, EDGES, suffix="1")
    (spec,) = answer.specs
    assert (spec.pipeline.name, spec.input.pfs.repo, spec.datum_tries) == ("edges-1", "images", 2)
    assert json.loads(answer.json)["transform"]["cmd"] == ["python3", "/edges.py"]
    assert render(connection, EDGES, suffix="1", src="other").specs[0].input.pfs.repo == "other"
    two = render(connection, "[{pipeline: {name: n}} for n in ['a', 'b']]")
    assert [each.pipeline.name for each in two.specs] == ["a", "b"]
    assert list(render(connection, "[]").specs) == []


@pytest.mark.parametrize(
    "template, said",
    [
        (EDGES, "function parameter suffix not bound in call"),
        ("{", "template err: STATIC ERROR"),
        ("", "template err"),
        ("1", "not a json object or list"),
        ("[1]", "not a json object or list"),
        ("{pipelin: {}}", 'unknown field "pipelin"'),
        ("{datum_tries: 'x'}", "wanted a whole number"),
        ("importstr '/etc/passwd'", "a template can't import other files here"),
        ("import 'https://example.com/x.jsonnet'", "a template can't import other files here"),
        ("std.extVar('HOME')", "undefined external variable"),
        ("local f(n) = f(n) + 1; f(0)", "max stack frames exceeded"),
        ("std.repeat('x', 1000000000) + std.repeat('y', 1000000000)", "template err"),
    ],
)
def test_what_fails_says_so(connection: Connection, template: str, said: str) -> None:
    with pytest.raises(PachletError) as refused:
        render(connection, template)
    assert said in refused.value.message
    assert "bug of pachlet" not in refused.value.message
    assert "root:" not in refused.value.message


def test_what_fails_names_the_file(connection: Connection, tmp_path: Path) -> None:
    template = tmp_path / "main.jsonnet"
    template.write_text("function(a)\n  {pipeline: a + nowhere}")
    terminal = Terminal(str(connection.address), tmp_path)
    for words in ("render {}", "create pipeline --jsonnet {}"):
        done = terminal.run(*words.format(template).split())
        assert f"{template}:2:18" in done.err
        assert " main:" not in done.err
