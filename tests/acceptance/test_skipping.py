"""What runs again and what is kept, to the datum: the rule of skipping under both policies, and how it is announced.

Pachyderm's issue 1963 lists what users want of an update: everything again; broken code mended and the good datums
kept; wrong code mended and some datums again; a change without meaning that keeps all; everything again because the
code is not deterministic.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pachlet import testing
from pachlet.client import jobs, pipelines, repos
from pachlet.client.connection import Connection
from pachlet.client.kept import foresee_job, inspect_plan
from pachlet.errors import InvalidArgument, Refused
from tests.acceptance.words import create, delete, ended, last_job, modify, pfs_input, put, shell, tree

POLICIES = ("upstream", "code-aware")
IN = pfs_input("in")
GOOD = "tr a-z A-Z <$in >/pfs/out/$(basename $in)"
BROKEN = f"case $in in *bad*) exit 1;; esac; {GOOD}"
WRONG = "rev <$in >/pfs/out/$(basename $in)"


@pytest.fixture
def connection(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Connection]:
    """A server that follows the policy of the test's parameter (`upstream` without one)."""
    policy = getattr(request, "param", "upstream")
    with testing.server(tmp_path / "data", skip=policy) as server, Connection(server.address) as connected:
        repos.create_repo(connected, "in")
        put(connected, "in@master", {f"/{name}": name for name in ("a1", "a2", "b1", "b2", "bad")})
        yield connected


under_both = pytest.mark.parametrize("connection", POLICIES, indirect=True)
under_upstream, under_code_aware = (
    pytest.mark.parametrize("connection", [policy], indirect=True) for policy in POLICIES
)


def asking(spec: dict[str, Any], what: str) -> dict[str, Any]:
    return pipelines.with_annotation(spec, "pachlet/reprocess", what)


def update(connection: Connection, spec: dict[str, Any], **flags: Any) -> tuple[Any, ...]:
    """Update a pipeline, hold what was foreseen against what happened, and return how the job ended."""
    foreseen = foresee_job(connection, spec, update=True, **flags)
    info = create(connection, spec, update=True, **flags)
    planned = inspect_plan(connection, f"{spec['pipeline']['name']}@{info.job.id}")
    assert foreseen is not None
    assert planned is not None
    for each in ("base", "policy", "code", "kept", "runs", "gone", "asked", "takes_any_code"):
        assert getattr(foreseen, each) == getattr(planned, each), each
    assert sum(planned.kept.values()) == info.data_skipped
    return ended(info)


@under_both
def test_p1963_full_update_runs_all(connection: Connection) -> None:
    create(connection, shell("p", WRONG, IN))
    assert update(connection, shell("p", GOOD, IN), reprocess=True) == ("SUCCESS", 5, 0, 0, 5)
    assert set(tree(connection, "p@master").values()) == {"A1", "A2", "B1", "B2", "BAD"}


def mend(connection: Connection) -> dict[str, Any]:
    """Run broken code that makes the best of it, and return the mended spec."""
    makes_the_best = {"transform": {"err_cmd": ["true"]}}
    info = create(connection, shell("p", BROKEN, IN, **makes_the_best))
    assert (ended(info), info.data_recovered) == (("SUCCESS", 4, 0, 0, 5), 1)
    assert "/bad" not in tree(connection, "p@master")
    return shell("p", GOOD, IN, **makes_the_best)


@under_upstream
def test_p1963_mended_code_keeps_the_good_datums(connection: Connection) -> None:
    assert update(connection, mend(connection)) == ("SUCCESS", 1, 4, 0, 5)
    assert tree(connection, "p@master")["/bad"] == "BAD"


@under_code_aware
def test_p1963_mended_code_keeps_the_good_datums_where_that_is_asked(connection: Connection) -> None:
    mended = mend(connection)
    assert update(connection, asking(mended, "failed")) == ("SUCCESS", 1, 4, 0, 5)
    # It was asked once, and what was kept counts as made by the new code from then on.
    put(connection, "in@master", {"/c1": "c1"})
    assert ended(last_job(connection, "p")) == ("SUCCESS", 1, 5, 0, 6)
    assert update(connection, mended) == ("SUCCESS", 0, 6, 0, 6)


@under_code_aware
def test_p1963_mended_code_runs_all_where_code_counts(connection: Connection) -> None:
    assert update(connection, mend(connection)) == ("SUCCESS", 5, 0, 0, 5)


@under_both
def test_p1963_wrong_code_is_mended_for_some_datums(connection: Connection) -> None:
    create(connection, shell("p", WRONG, IN))
    some = asking(shell("p", GOOD, IN), "/a*")
    assert update(connection, some) == ("SUCCESS", 2, 3, 0, 5)
    assert tree(connection, "p@master") == {
        "/a1": "A1", "/a2": "A2", "/b1": "1b", "/b2": "2b", "/bad": "dab",
    }  # fmt: skip
    # The same spec again is the same question again; without it, nothing is left to do.
    put(connection, "in@master", {"/a3": "a3"})
    assert ended(last_job(connection, "p")) == ("SUCCESS", 1, 5, 0, 6)
    assert update(connection, shell("p", GOOD, IN)) == ("SUCCESS", 0, 6, 0, 6)


@under_both
def test_what_an_update_asked_outlives_a_job_that_failed(connection: Connection) -> None:
    create(connection, shell("p", WRONG, IN))
    failing = shell("p", f"case $in in */a2) exit 1;; esac; {GOOD}", IN)
    assert update(connection, asking(failing, "/a*")) == ("FAILURE", 1, 3, 1, 5)
    mended = asking(shell("p", GOOD, IN), "failed")
    assert update(connection, mended) == ("SUCCESS", 2, 3, 0, 5)
    assert {tree(connection, "p@master")[f"/a{n}"] for n in (1, 2)} == {"A1", "A2"}


@under_upstream
def test_p1963_change_without_meaning_keeps_all(connection: Connection) -> None:
    create(connection, shell("p", GOOD, IN))
    assert update(connection, shell("p", f"# a remark\n{GOOD}", IN)) == ("SUCCESS", 0, 5, 0, 5)


@under_code_aware
def test_p1963_change_without_meaning_keeps_all_where_that_is_said(connection: Connection) -> None:
    create(connection, shell("p", GOOD, IN))
    remarked = shell("p", f"# a remark\n{GOOD}", IN)
    assert update(connection, asking(remarked, "failed")) == ("SUCCESS", 0, 5, 0, 5)
    assert update(connection, {**remarked, "description": "said"}) == ("SUCCESS", 0, 5, 0, 5)
    assert update(connection, shell("p", f"# another\n{GOOD}", IN)) == ("SUCCESS", 5, 0, 0, 5)


@under_both
def test_p1963_code_that_is_not_deterministic_runs_again(connection: Connection) -> None:
    spec = shell("p", "date +%N >/pfs/out/$(basename $in)", IN)
    create(connection, spec)
    assert update(connection, spec) == ("SUCCESS", 0, 5, 0, 5)
    before = tree(connection, "p@master")
    assert update(connection, spec, reprocess=True) == ("SUCCESS", 5, 0, 0, 5)
    assert not set(before.values()) & set(tree(connection, "p@master").values())


@under_upstream
def test_spec_may_ask_for_the_other_policy(connection: Connection) -> None:
    def aware(spec: dict[str, Any]) -> dict[str, Any]:
        return pipelines.with_annotation(spec, "pachlet/skip", "code-aware")

    create(connection, shell("p", WRONG, IN))
    assert update(connection, aware(shell("p", WRONG, IN))) == ("SUCCESS", 0, 5, 0, 5)
    assert update(connection, aware(shell("p", GOOD, IN))) == ("SUCCESS", 5, 0, 0, 5)
    # What makes no difference to a result is not code, and new data is judged alone.
    more = aware(shell("p", GOOD, IN, transform={"err_cmd": ["true"]}, datum_tries=2))
    assert update(connection, more) == ("SUCCESS", 0, 5, 0, 5)
    put(connection, "in@master", {"/a1": "other"})
    assert ended(last_job(connection, "p")) == ("SUCCESS", 1, 4, 0, 5)


@pytest.mark.parametrize(
    "name, value, text",
    [
        ("pachlet/skip", "never", 'pachlet/skip is "never", wanted upstream or code-aware'),
        (
            "pachlet/reprocess",
            "some",
            'pachlet/reprocess is "some", wanted failed or a glob that begins with /',
        ),
        ("pachlet/reprocess", "/a(", "/a("),
    ],
)
def test_annotation_that_can_not_be_followed_is_refused(
    connection: Connection, name: str, value: str, text: str
) -> None:
    with pytest.raises((InvalidArgument, Refused)) as refused:
        pipelines.create_pipeline(connection, pipelines.with_annotation(shell("p", GOOD, IN), name, value))
    assert text in str(refused.value)


def said(connection: Connection, info: Any) -> list[str]:
    """Return what a job's log says of its plan."""
    lines = connection.call("pps_v2.API", "GetLogs", {"job": info.job, "master": True})
    return [each.message for each in lines if " kept" in each.message or " new" in each.message]


def test_what_is_kept_and_who_made_it_is_announced(connection: Connection) -> None:
    first = create(connection, shell("p", WRONG, IN))
    assert said(connection, first) == ["5 new"]
    digest = next(iter(connection.call("pps_v2.API", "ListDatum", {"job": first.job}))).image_id[-71:][:19]
    modify(connection, "in@master", delete("/b1"), delete("/b2"))
    put(connection, "in@master", {"/a1": "other", "/c1": "c", "/c2": "c"})
    info = last_job(connection, "p")
    assert said(connection, info) == [f"2 kept, made by {digest}, 2 new, 1 changed"]
    info = create(connection, shell("p", GOOD, IN), update=True)
    assert said(connection, info) == [
        f"5 kept, made by {digest}",
        "other code than now made 5 of those kept; "
        "`pachctl rerun pipeline p --reprocess --project default` makes them again",
    ]
    info = create(connection, shell("p", GOOD, IN), update=True, reprocess=True)
    assert said(connection, info) == []
    plan = inspect_plan(connection, f"p@{info.job.id}")
    assert plan is not None
    assert dict(plan.runs) == {"reprocessed": 5}


def test_records_go_with_the_last_job_that_has_them(connection: Connection, tmp_path: Path) -> None:
    spec = shell("p", GOOD, IN)
    first = create(connection, spec)
    second = create(connection, spec, update=True)
    assert ended(second) == ("SUCCESS", 0, 5, 0, 5)
    kept = [each.datum for each in connection.call("pps_v2.API", "ListDatum", {"job": second.job})]
    assert {each.job.id for each in kept} == {first.job.id}
    pipelines.delete_pipeline(connection, "p")
    assert list(jobs.list_job(connection)) == []
    import sqlite3

    with sqlite3.connect(tmp_path / "data" / "pachlet.db") as database:
        assert database.execute("SELECT count(*) FROM datum_records").fetchone() == (0,)
    database.close()
