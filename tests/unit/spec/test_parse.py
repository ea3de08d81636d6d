"""Reading good specs: both formats, both spellings, many in one file, and where things stand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from pachlet.spec.parse import canonical, parse_specs
from pachlet.spec.positions import Position, SpecError
from pachlet.wire import schema

REPOSITORY = Path(__file__).parents[3]


def only(text: str | bytes, filename: str = "spec.json") -> dict[str, Any]:
    (spec,) = parse_specs(text, filename)
    return spec.json


@pytest.mark.parametrize("path", sorted(REPOSITORY.glob("pipelines/*/*.json")), ids=lambda path: path.stem)
def test_our_own_specs_are_read_as_plain_json_is(path: Path) -> None:
    assert [spec.json for spec in parse_specs(path.read_bytes(), str(path))] == [json.loads(path.read_text())]


def test_camel_case_becomes_the_schemas_spelling() -> None:
    text = """{"pipeline": {"name": "a"}, "datumTries": "5", "parallelismSpec": {"constant": 2.0},
        "resourceRequests": {"cpu": 1}, "egress": {"URL": "s3://b"}, "input": {"pfs": {"joinOn": "$1"}},
        "transform": {"env": {"someKey": "v"}, "acceptReturnCode": ["1", 2]},
        "tolerations": [{"operator": 1, "effect": "NO_EXECUTE", "tolerationSeconds": "60"}]}"""
    assert only(text) == {
        "pipeline": {"name": "a"},
        "datum_tries": 5,
        "parallelism_spec": {"constant": 2},
        "resource_requests": {"cpu": 1.0},
        "egress": {"URL": "s3://b"},
        "input": {"pfs": {"join_on": "$1"}},
        "transform": {"env": {"someKey": "v"}, "accept_return_code": [1, 2]},
        "tolerations": [{"operator": "EXISTS", "effect": "NO_EXECUTE", "toleration_seconds": 60}],
    }


def test_yaml_and_json_give_the_same() -> None:
    as_yaml = """
pipeline: {name: a}   # the name
description: no
transform:
  cmd: ["sh", '-c', "true"]
  stdin:
    - echo "12:30"
    - 'yes'
  env: &env
    PORT: "8080"
  accept_return_code: [0x10, 0o17, 1]
  debug: true
  user: ~
metadata:
  labels: *env
datum_timeout: 90s
resource_limits: {cpu: .5, memory: 1Gi}
"""
    as_json = """{"pipeline": {"name": "a"}, "description": "no", "transform": {"cmd": ["sh", "-c", "true"],
        "stdin": ["echo \\"12:30\\"", "yes"], "env": {"PORT": "8080"}, "accept_return_code": [16, 15, 1],
        "debug": true, "user": null}, "metadata": {"labels": {"PORT": "8080"}}, "datum_timeout": "90s",
        "resource_limits": {"cpu": 0.5, "memory": "1Gi"}}"""
    assert only(as_yaml, "a.yml") == only(as_json)


def test_what_is_read_is_what_protobuf_takes() -> None:
    text = """{"pipeline": {"name": "a", "project": {"name": "p"}}, "jobTimeout": "1.5s", "datumTries": "3",
        "input": {"cross": [{"cron": {"name": "t", "spec": "@daily", "start": "2026-01-31T08:00:00Z"}}]},
        "tolerations": [{"operator": "EXISTS", "tolerationSeconds": 6}], "service": {"internalPort": 80}}"""
    message = schema.message("pps_v2.CreatePipelineRequest")
    ours = json_format.ParseDict(only(text), message())
    assert ours == json_format.Parse(text, message())


@pytest.mark.parametrize(
    "text, filename",
    [
        ("pipeline: {name: a}\n---\npipeline: {name: b}\n---\n", "specs.yaml"),
        ("- pipeline: {name: a}\n- pipeline: {name: b}\n", "-"),
        ('[{"pipeline": {"name": "a"}}, {"pipeline": {"name": "b"}}]', "specs.json"),
        ('{"pipeline": {"name": "a"}}\n{"pipeline": {"name": "b"}}', "-"),
        ('{"pipeline": {"name": "a"}}\n---\n{"pipeline": {"name": "b"}}', "specs.json"),
        (b'\xef\xbb\xbf{"pipeline": {"name": "a"}}\r\n[{"pipeline": {"name": "b"}}]', "from-windows.json"),
    ],
)
def test_many_specs_in_one_file(text: str | bytes, filename: str) -> None:
    assert [spec.json["pipeline"]["name"] for spec in parse_specs(text, filename)] == ["a", "b"]


def test_strings_are_read_as_json_says() -> None:
    text = '{"pipeline": {"name": "a"}, "description": "\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00é"}'
    assert only(text)["description"] == json.loads(text)["description"]


@pytest.mark.parametrize(
    "filename, text",
    [
        (
            "a.json",
            '{\n  "pipeline": {"name": "a"},\n  "transform": {\n    "cmd": ["sh",\n            "-c"]\n  }\n}',
        ),
        ("a.yaml", '\n  pipeline: {name: a}\n  transform:\n    cmd: [ sh,\n            "-c"]\n'),
    ],
)
def test_where(filename: str, text: str) -> None:
    (spec,) = parse_specs(text, filename)
    assert spec.where("transform") == Position(3, 3)
    assert spec.where("transform.cmd") == Position(4, 5)
    assert spec.where("transform.cmd[1]") == Position(5, 13)
    assert spec.where("transform.cmd[7]") == Position(4, 5)  # not there: what is around it
    assert spec.where("transform.image.x") == Position(3, 3)
    assert spec.where("input.pfs") == spec.where("")
    error = spec.error("transform.cmd[0]", "found sh, wanted bash")
    assert str(error).startswith(f"{filename}:4:1")
    assert str(error).endswith(": transform.cmd[0]: found sh, wanted bash")


def test_canonical_needs_no_name_and_takes_other_messages() -> None:
    assert canonical({"datumTries": "2"}) == {"datum_tries": 2}
    defaults = {"createPipelineRequest": {"outputBranch": "main", "salt": None}}
    wanted = {"create_pipeline_request": {"output_branch": "main", "salt": None}}
    assert canonical(defaults, message="pps_v2.ClusterDefaults") == wanted
    with pytest.raises(SpecError, match="request:1:2: found the unknown field"):
        canonical({"datum_trie": 1})


def test_depth_and_size_have_an_end() -> None:
    for text in (
        "[" * 3_000,
        '{"a":' * 3_000,
        '{"pipeline": {"name": "a"}, "input": ' + '{"cross": [' * 100,
    ):
        for filename in ("a.json", "a.yaml"):
            with pytest.raises(SpecError):
                parse_specs(text, filename)
    laughs = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(n)}: &{chr(n)} [{','.join(['*' + chr(n - 1)] * 9)}]\n" for n in range(98, 112)
    )
    with pytest.raises(SpecError, match="more than a spec can hold"):
        parse_specs(laughs, "laughs.yaml")
    for digits in ("9" * 5000, "1e999"):
        for filename in ("a.json", "a.yaml"):
            with pytest.raises(SpecError):
                parse_specs(f'{{"pipeline": {{"name": "a"}}, "datum_tries": {digits}}}', filename)
