"""What the server refuses, in upstream's words and order."""

from __future__ import annotations

from typing import Any

import pytest

from pachlet.errors import Refused
from pachlet.spec.cron import check_cron
from pachlet.spec.defaults import effective_spec
from pachlet.spec.validate import validate_pipeline


def pfs(given: str, **more: Any) -> dict[str, Any]:
    return {"pfs": {"repo": given, "glob": "/*", **more}}


def refusal(**spec: Any) -> str:
    with pytest.raises(Refused) as caught:
        validate_pipeline(effective_spec({"pipeline": {"name": "p"}, **spec}, {}, {}))
    return str(caught.value)


def accept(**spec: Any) -> None:
    validate_pipeline(effective_spec({"pipeline": {"name": "p"}, **spec}, {}, {}))


@pytest.mark.parametrize(
    "spec, text",
    [
        ({"pipeline": None}, "invalid pipeline spec: request.Pipeline cannot be nil"),
        ({"pipeline": {}}, "invalid pipeline spec: request.Pipeline.Name cannot be empty"),
        ({"tf_job": {}}, "embedding TFJobs in pipelines is not supported yet"),
        ({"s3_out": True, "spout": {}}, "s3 output is not supported in spouts or services"),
        ({"s3_out": True, "service": {}}, "s3 output is not supported in spouts or services"),
        ({"transform": None}, "pipeline must specify a transform"),
        (
            {"spout": {}, "autoscaling": True},
            "autoscaling can't be used with spouts (spouts aren't triggered externally)",
        ),
        (
            {"tolerations": [{"operator": "EXISTS"}, {}]},
            "toleration 2/2: cannot omit key/value comparison operator; specify EQUAL or EXISTS",
        ),
        (
            {"transform": {"secrets": [{"name": "S", "env_var": "E"}]}},
            "secret S has env_var set but is missing key",
        ),
        ({"egress": {"sql_database": {}}}, "egress.sql_database.secret is required"),
        (
            {"egress": {"sql_database": {"secret": {"name": "s"}}}},
            "egress.sql_database.secret.name and egress.sql_database.secret.key are required",
        ),
        (
            {"service": {}, "parallelism_spec": {"constant": 2}},
            "services can only be run with a constant parallelism of 1",
        ),
        ({"pod_spec": "{"}, "malformed PodSpec"),
        ({"pod_patch": "x"}, "malformed PodPatch"),
        ({"transform": {"cmd": ["a", "b\0"]}}, "invalid transform: cmd has the character NUL in it"),
        (
            {"transform": {"working_dir": "/a\0"}},
            "invalid transform: working_dir has the character NUL in it",
        ),
        (
            {"transform": {"env": {"A": "\0"}}},
            "invalid transform: env A has the character NUL in it",
        ),
        *(
            ({"transform": given}, f"invalid transform: {name} is no name of an environment variable")
            for given, name in (
                ({"env": {"A=B": "1"}}, "'A=B'"),
                ({"env": {"": "1"}}, "''"),
                ({"env": {"A\0": "1"}}, "'A\\x00'"),
                ({"secrets": [{"name": "s", "key": "k", "env_var": "A=B"}]}, "'A=B'"),
            )
        ),
        ({"service": {"type": "Maybe"}}, "the following service type Maybe is not allowed"),
        (
            {"spout": {}, "input": pfs("a")},
            "spout pipelines (without a service) must not have an input",
        ),
    ],
)
def test_pipelines(spec: dict[str, Any], text: str) -> None:
    assert refusal(**spec) == text


@pytest.mark.parametrize(
    "tree, text",
    [
        ({}, "no input set"),
        ({"cross": [{}]}, "no input set"),
        ({"cross": []}, "no input set"),
        ({"cross": [pfs("a"), {"union": []}]}, "no input set"),
        (pfs("a") | {"union": []}, "multiple input types set"),
        ({"join": [], "group": []}, "multiple input types set"),
        (pfs("a", repo="", name="a"), "input must specify a repo"),
        ({"pfs": {"glob": "/"}}, "input must specify a name"),
        ({"pfs": {"repo": "a"}}, "input must specify a glob"),
        (pfs("out"), "input cannot be named out"),
        (pfs("a", name=".env"), "input cannot be named .env"),
        (pfs("a", name="../b"), "input cannot be named ../b"),
        (
            pfs("a", commit="c"),
            "input cannot come from a commit; use a branch with head pointing to the commit",
        ),
        (
            pfs("a", glob="/{a"),
            "glob (/{a) invalid: character 2: the group that opens here is never closed by }",
        ),
        (
            pfs("a", s3=True),
            "inputs that set 's3' to 'true' must also set 'glob', to \"/\", as the S3 gateway is only able to "
            "expose data at the commit level",
        ),
        (
            pfs("a", s3=True, glob="/", lazy=True),
            "input cannot specify both 's3' and 'lazy', as 's3' requires input data to be accessed via "
            "Pachyderm's S3 gateway rather than the file system",
        ),
        ({"join": [pfs("a", s3=True, glob="/")]}, "S3 inputs in join expressions are not supported"),
        ({"cron": {"spec": "@daily"}}, "input must specify a name"),
        (
            {"cron": {"name": "t", "spec": "* *"}},
            "error parsing cron-spec: expected exactly 5 fields, found 2: [* *]",
        ),
    ],
)
def test_inputs(tree: dict[str, Any], text: str) -> None:
    assert refusal(input=tree) == text


def test_out_is_fine_under_another_name() -> None:
    accept(input=pfs("out", name="previous"))


def test_names_are_unique_across_a_cross() -> None:
    assert (
        refusal(input={"cross": [pfs("a"), {"join": [pfs("b"), pfs("a")]}]})
        == 'name "a" was used more than once'
    )


def test_parts_of_a_union_may_share_a_name() -> None:
    union = {"union": [pfs("a", name="in"), pfs("b", name="in")]}
    accept(input=union)
    accept(input={"cross": [pfs("c"), union]})
    for tree in ([pfs("c", name="in"), union], [union, pfs("c", name="in")]):
        assert refusal(input={"cross": tree}) == 'name "in" was used more than once'


def test_a_pipeline_needs_neither_command_nor_input() -> None:
    accept()
    accept(spout={})
    accept(service={}, parallelism_spec={"constant": 1}, input=pfs("a"))


@pytest.mark.parametrize(
    "spec",
    [
        "* * * * *",
        "*/5 0-6,12 1 jan-mar MON",
        " 0 6 * * ? ",
        "TZ=Europe/Berlin 0 6 * * *",
        "@hourly",
        "@never",
        "@every 1h30m",
    ],
)
def test_good_schedules(spec: str) -> None:
    check_cron(spec)


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "@sometimes",
        "@every",
        "@every 5",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 7",
        "5-1 * * * *",
        "*/0 * * * *",
        "a * * * *",
        "1,,2 * * * *",
        "* * * * * *",
        "9999999999 * * * *",
    ],
)
def test_bad_schedules(spec: str) -> None:
    with pytest.raises(Refused, match=r"^error parsing cron-spec: ") as caught:
        check_cron(spec)
    assert caught.value.hint
