"""The words of `edit metadata` become edits: kinds, names, operations, and keys with values."""

from __future__ import annotations

import pytest

from pachlet.client.metadata import edit, pairs
from pachlet.errors import Usage


@pytest.mark.parametrize(
    "typed, found",
    [
        ("", {}),
        (" ", {}),
        ("a=b", {"a": "b"}),
        ("a = b", {"a": "b"}),
        ("a=b;c=d", {"a": "b", "c": "d"}),
        ("a=b;", {"a": "b"}),
        ('"two lines"="one\\ntwo"', {"two lines": "one\ntwo"}),
        ("'as it is\\'='x;y=z'", {"as it is\\": "x;y=z"}),
        ('"\\x41\\u00e9"="\\""', {"Aé": '"'}),
        ('{"a": "b"}', {"a": "b"}),
    ],
)
def test_pairs_are_read(typed: str, found: dict[str, str]) -> None:
    assert pairs(typed) == found


@pytest.mark.parametrize(
    "typed", ["a", "a=", "=b", "a=b c", "a=b;;c=d", "a=b;a=c", '"a=b', '{"a": 1}', "{", "[]"]
)
def test_what_is_no_pair_is_refused(typed: str) -> None:
    with pytest.raises(Usage):
        pairs(typed)


REPO = {"name": {"project": {"name": "p"}, "name": "r", "type": "user"}}
ID = "0" * 12 + "4" + "0" * 19


@pytest.mark.parametrize(
    "kind, picker, target",
    [
        ("cluster", ".", {"cluster": {}}),
        ("Project", "q", {"project": {"name": "q"}}),
        ("repo", "r", {"repo": REPO}),
        ("repo", "p/r", {"repo": REPO}),
        ("branch", "r@b", {"branch": {"name": {"repo": REPO, "name": "b"}}}),
        ("commit", f"r@{ID}", {"commit": {"id": {"repo": REPO, "id": ID}}}),
        ("commit", "r@b", {"commit": {"branch_head": {"name": {"repo": REPO, "name": "b"}}}}),
        (
            "commit",
            "r@b^^",
            {
                "commit": {
                    "ancestor": {"start": {"branch_head": {"name": {"repo": REPO, "name": "b"}}}, "offset": 2}
                }
            },
        ),
        ("pipeline", "x", {"pipeline": {"name": {"project": {"name": "p"}, "name": "x"}}}),
    ],
)
def test_objects_are_picked(kind: str, picker: str, target: dict[str, object]) -> None:
    assert edit("p", kind, picker, "delete", "key") == {**target, "delete_key": {"key": "key"}}


@pytest.mark.parametrize(
    "operation, data, change",
    [
        ("add", "k=v", {"add_key": {"key": "k", "value": "v"}}),
        ("EDIT", "k=v", {"edit_key": {"key": "k", "value": "v"}}),
        ("delete", "k=v", {"delete_key": {"key": "k=v"}}),
        ("replace", "k=v;l=w", {"replace": {"replacement": {"k": "v", "l": "w"}}}),
        ("replace", "", {"replace": {"replacement": {}}}),
    ],
)
def test_operations_are_read(operation: str, data: str, change: dict[str, object]) -> None:
    assert edit("p", "cluster", ".", operation, data) == {"cluster": {}, **change}


@pytest.mark.parametrize(
    "words",
    [("thing", "x", "add", "k=v"), ("repo", "r", "paint", "k=v"), ("repo", "r", "add", "k=v;l=w")],
)
def test_other_words_are_refused(words: tuple[str, str, str, str]) -> None:
    with pytest.raises(Usage):
        edit("p", *words)
