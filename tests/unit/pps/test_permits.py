"""What a spec's steps are permitted, from its limits and its annotation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pachlet.errors import Refused
from pachlet.pps.permits import limits_of, may_use_network, requests_of
from pachlet.spec.defaults import effective_spec
from pachlet.spec.parse import parse_specs
from pachlet.spec.validate import validate_pipeline
from pachlet.worker.interface import Limits

ROOT = Path(__file__).parents[3]


def spec(**fields: Any) -> dict[str, Any]:
    user = {"pipeline": {"name": "p"}, "transform": {"image": "alpine", "cmd": ["true"]}, **fields}
    effective = effective_spec(user, {}, {})
    validate_pipeline(effective)
    return effective


@pytest.mark.parametrize(
    "policy, annotation, permitted",
    [
        ("ask", None, False),
        ("ask", "deny", False),
        ("ask", "allow", True),
        ("allow", None, True),
        ("allow", "deny", False),
        ("allow", "allow", True),
        ("deny", None, False),
        ("deny", "allow", False),
    ],
)
def test_the_network_needs_the_pipelines_word_and_the_servers_consent(
    policy: Any, annotation: str | None, permitted: bool
) -> None:
    fields = {"metadata": {"annotations": {"pachlet/network": annotation}}} if annotation else {}
    assert may_use_network(spec(**fields), policy) is permitted


def test_another_word_in_the_annotation_is_refused() -> None:
    with pytest.raises(Refused, match="the annotation pachlet/network can't be 'yes'"):
        spec(metadata={"annotations": {"pachlet/network": "yes"}})


def test_none_of_our_own_pipelines_has_the_network_but_the_one_that_asks_an_exchange() -> None:
    paths = sorted(ROOT.glob("pipelines/*/*.json"))
    found = [each.json for path in paths for each in parse_specs(path.read_text(), path.name)]
    assert len(found) > 20
    named = [each["pipeline"] for each in found if may_use_network(each, "allow")]
    assert named == [{"project": {"name": "crypto-live"}, "name": "prices"}]


def test_limits_and_requests_are_amounts() -> None:
    both = spec(
        resource_limits={"memory": "1Gi", "cpu": 2, "disk": "1G"}, resource_requests={"memory": "256Mi"}
    )
    assert limits_of(both) == Limits(1 << 30, 2.0, 10**9)
    assert requests_of(both) == Limits(256 << 20, 2.0, 10**9)
    assert limits_of(spec()) == Limits()


@pytest.mark.parametrize(
    "fields, said",
    [
        ({"resource_limits": {"memory": "lots"}}, "resource_limits.memory: could not parse 'lots'"),
        ({"resource_requests": {"disk": "-1"}}, "resource_requests.disk: '-1' is less than nothing"),
        ({"resource_limits": {"cpu": -1}}, "resource_limits.cpu: -1 is less than nothing"),
    ],
)
def test_an_amount_that_is_none_is_refused_by_its_path(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(Refused, match=said):
        spec(**fields)
