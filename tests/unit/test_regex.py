"""Regular expressions over paths: what they match, what is refused, and that none takes long."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pachlet.errors import Refused
from pachlet.globs.regex import Regex

PATHS = ["/", "/a", "/a.csv", "/a/b.CSV", "/x-1/y_2 z", "/aaa/bbb", "/abab", "/0/9", "/a+b", ""]


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "/",
        "a",
        r"\.csv$",
        r"(?i)\.csv$",
        r"(?i:A)/B",
        "^/a",
        "^/a$",
        r"\A/a\Z".replace(r"\Z", r"\z"),
        "a|b|c",
        "(a|b)+/",
        "(?:ab){2}",
        "a{2,3}/",
        "a{2,}/b",
        "x{0}",
        "a{,2}",  # no repetition: upstream takes it literally
        r"[a-c]\.",
        "[^/a]",
        "[]a]",
        "[a-]1",
        "[-1]/",
        r"[\d_]\s",
        "[[:digit:]]/[[:^alpha:]]",
        r"\w+-\d",
        r"\bb",
        r"b\B",
        "^$",
        ".*.*.*=",
        "a*?b",
        "(?P<name>a)b",
        r"\x2fa",
        r"\+",
        "()*",
        "(|a)b",
    ],
)
def test_as_pythons(pattern: str) -> None:
    spelled = pattern.replace(r"\z", r"\Z").replace("[[:digit:]]/[[:^alpha:]]", "[0-9]/[^A-Za-z]")
    spelled = spelled.replace("a{,2}", r"a\{,2\}")
    regex = Regex(pattern)
    for path in PATHS:
        assert regex.search(path) == bool(re.search(spelled, path, re.ASCII)), path


LETTERS = st.sampled_from(["a", "b", "/", ".", "[ab]", "[^a]", "(a|b)", "^", "$", r"\b"])
PATTERNS = st.recursive(
    LETTERS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda two: f"(?:{two[0]}|{two[1]})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "*?"])).map(
            lambda p: f"(?:{p[0]}){p[1]}"
        ),
    ),
    max_leaves=8,
)


@given(PATTERNS, st.text("ab/c", max_size=8))
def test_any_pattern_is_as_pythons(pattern: str, path: str) -> None:
    assert Regex(pattern).search(path) == bool(re.search(pattern, path))


@pytest.mark.parametrize(
    "pattern, why",
    [
        ("(", "character 1: the group that opens here is never closed by )"),
        ("a)", r"character 2: there is no ( for this )"),
        ("[a", "character 1: the [ is never closed by ]"),
        ("*a", "character 1: there is nothing that * could repeat"),
        ("a**", "can't be repeated again"),
        ("a{1001}", "no number of times"),
        ("a{3,2}", "no number of times"),
        ("[b-a]", "b-a is no range"),
        ("[[:nope:]]", "there is no class [:nope:]"),
        ("(?=a)", "RE2 has no group of this kind"),
        (r"(a)\1", r"there is no \1"),
        ("\\", "there is no \\"),
        ("(" * 200 + ")" * 200, "nested more than 100 deep"),
        ("((a{1000}){1000}){1000}", "it repeats too much"),
        ("((((){1000}){1000}){1000}){1000}", "it repeats too much"),
    ],
)
def test_refused(pattern: str, why: str) -> None:
    with pytest.raises(Refused, match=r"^regular expression ") as refused:
        Regex(pattern)
    assert why in refused.value.message


def test_no_expression_runs_away() -> None:
    started = time.process_time()
    path = "/" + "a" * 2000
    for pattern in ("(a+)+$", "(a|a)*b", "(.*)*x", "(a?){50}a{50}z", "([a-z]+)+[0-9]"):
        assert Regex(pattern).search(path) == pattern.endswith("$")
    assert time.process_time() - started < 5
