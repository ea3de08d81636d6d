"""Which paths a glob matches, what its groups capture, and what is refused."""

from __future__ import annotations

import pytest

from pachlet.errors import Refused
from pachlet.globs import Glob


@pytest.mark.parametrize(
    "pattern, path, matches",
    [
        ("/", "/", True),
        ("", "/", True),
        ("/", "/a", False),
        ("/*", "/", False),
        ("/*", "/a", True),
        ("/*", "/a/", True),  # a directory, as listed
        ("/*", "/a/b", False),
        ("*", "/a", True),  # cleaned to "/*"
        ("/*/", "/a/", True),
        ("/**", "/", False),
        ("**", "/", False),
        ("/**", "/a/b/c", True),
        ("/a/**/c", "/a/b/b/c", True),
        ("/a/**/c", "/a/c", False),
        ("/a?c", "/abc", True),
        ("/a?c", "/a/c", False),
        ("/[abc]", "/b", True),
        ("/[a-c]", "/d", False),
        ("/[!a-c]", "/d", True),
        ("/[^a-c]", "/a", False),
        ("/a[!b]c", "/a/c", True),  # upstream's sets may hold the slash
        ("/[a-]", "/-", True),
        ("/[[:digit:]]", "/7", True),
        ("/[[:^digit:]]", "/7", False),
        (r"/[\]]", "/]", True),
        ("/{cat,dog}.png", "/dog.png", True),
        ("/{cat,dog}.png", "/cow.png", False),
        ("/{a,b{c,d}}", "/bd", True),
        ("/{,x}a", "/a", True),
        ("/raw/*.csv", "/raw/Bitcoin.csv", True),
        ("/raw/*.csv", "/raw/x/Bitcoin.csv", False),
        (r"/\*", "/*", True),
        (r"/\*", "/a", False),
        ("/a,b)}|", "/a,b)}|", True),  # outside of a group they are just characters
        ("/a.b", "/axb", False),
        ("/!(a)", "/b", True),
        ("/!(a)", "/a", False),
        ("/!(a)", "/ab", True),
        ("/!(a)/b", "/c/b", True),
        ("/!(a)/b", "/ab/b", False),  # upstream: text follows, so any beginning is refused
        ("/!(*.csv)", "/x.csv", False),
        ("/!(*.csv)", "/x.tsv", True),
        ("!(**)", "/a", False),
        ("/**(a)", "/baa", True),  # a star, then *(a)
    ],
)
def test_match(pattern: str, path: str, matches: bool) -> None:
    assert (Glob(pattern).match(path) is not None) == matches


@pytest.mark.parametrize(
    "pattern, path, groups",
    [
        ("/(*)", "/foo", ("foo",)),
        ("/(*)/", "/foo/", ("foo",)),
        ("/foo(?)(?)", "/foo12", ("1", "2")),
        ("/(a|b)/(*).go", "/b/x.go", ("b", "x")),
        ("/x{a,(b)}", "/xa", ("",)),
        ("/?(a)b", "/b", ("",)),
        ("/*(a|b)c", "/abac", ("aba",)),
        ("/+(a|b)c", "/c", None),
        ("/!(a)", "/xyz", ("xyz",)),
        ("/(a(b)c)(d)", "/abcd", ("abc", "b", "d")),
        ("/(*)(*)", "/abc", ("abc", "")),  # the first star takes all that it can
        ("/**/(*).(csv|json)", "/a/b/c.d.csv", ("c.d", "csv")),
    ],
)
def test_captures(pattern: str, path: str, groups: tuple[str, ...] | None) -> None:
    assert Glob(pattern).match(path) == groups


@pytest.mark.parametrize(
    "template, filled",
    [
        ("$1", "foo"),
        ("$2-$1", "bar-foo"),
        ("${1}1", "foo1"),
        ("$0", "/foo_bar"),
        ("$$1", "$1"),
        ("$3", ""),
        ("$01", "foo"),
        ("$999999999999", ""),
        ("$", "$"),
        ("${1", "${1"),
        ("plain", "plain"),
        ("", ""),
    ],
)
def test_replace(template: str, filled: str) -> None:
    assert Glob("/(*)_(*)").replace("/foo_bar/", template) == filled


def test_replace_without_a_match_fills_in_nothing() -> None:
    assert Glob("/a(*)").replace("/b", "[$0$1]") == "[]"


@pytest.mark.parametrize(
    "pattern, prefix",
    [
        ("/", "/"),
        ("/raw/a.csv", "/raw/a.csv"),
        ("/raw/*.csv", "/raw/"),
        ("**", "/"),
        ("/a{b,c}", "/a"),
        (r"/a\*b*", "/a*b"),
        ("/[a]", "/"),
        ("/(a)", "/"),
    ],
)
def test_literal_prefix(pattern: str, prefix: str) -> None:
    assert Glob(pattern).literal_prefix == prefix


@pytest.mark.parametrize(
    "pattern, why",
    [
        ("/[a", "character 2: the [ is never closed by ]"),
        ("/[]", "character 2: the brackets hold no character"),
        ("/[!]", "character 2: the brackets hold no character"),
        ("/[z-a]", "character 2: the range z-a runs backwards"),
        ("/(a", "character 2: the group that opens here is never closed by )"),
        ("/x@(a|b", "character 3: the group that opens here is never closed by )"),
        ("/{a,b", "character 2: the group that opens here is never closed by }"),
        ("/^(a)", "character 2: there is no ^(..); write !(..)"),
        ("/a\\", "character 3: a backslash at the end escapes nothing"),
        ("/" + "(" * 41 + ")" * 41, "character 42: groups are nested more than 40 deep"),
    ],
)
def test_refused_patterns(pattern: str, why: str) -> None:
    with pytest.raises(Refused) as caught:
        Glob(pattern)
    assert str(caught.value) == f"glob ({pattern}) invalid: {why}"
    assert caught.value.hint


@pytest.mark.parametrize(
    "pattern",
    [
        "/*(*(a))b",
        "/+(a|a)b",
        "/*a*a*a*a*a*a*a*a*b",
        "/" + "{a,a}" * 30 + "b",
        "/" + "?(a)" * 30 + "b",
        "/!(*a*a*a*a*b)*(a)b",
    ],
)
def test_no_pattern_hangs(pattern: str) -> None:
    """Each of these takes a plain backtracking matcher longer than a working day."""
    assert Glob(pattern).match("/" + "a" * 300) is None
