"""What 1.x called things becomes today's words, and nothing else is touched."""

from __future__ import annotations

import shlex

import pytest

from pachlet.cli import registry
from pachlet.cli.main import parse
from pachlet.cli.spelling import ELSEWHERE, elsewhere, modernise
from pachlet.errors import Usage

OLD_AND_NEW = [
    ("create-repo images", "create repo images"),
    ("put-file images master -f cat.png", "put file images@master -f cat.png"),
    ("put-file images master /a/b -f cat.png", "put file images@master:/a/b -f cat.png"),
    ("put-file images master -c -r -f dir", "put file images@master -r -f dir"),
    ("put-file images master -i list.txt", "put file images@master -i list.txt"),
    ("put-file -f cat.png images master x", "put file images@master:x -f cat.png"),
    ("put-file images master x --split line -f a.csv", "put file images@master:x -f a.csv"),
    ("put-file images@master:/x -f a", "put file images@master:/x -f a"),
    ("get-file edges master liberty.png", "get file edges@master:liberty.png"),
    ("get-file edges master /dir -r -o out", "get file edges@master:/dir -r -o out"),
    ("list-file images master", "list file images@master"),
    ("list-file images master dir", "list file images@master:dir"),
    ("inspect-file images master x", "inspect file images@master:x"),
    ("delete-file images master x", "delete file images@master:x"),
    ("glob-file images master '*.png'", "glob file 'images@master:*.png'"),
    ("copy-file a master x b master y", "copy file a@master:x b@master:y"),
    ("diff-file a master x", "diff file a@master:x"),
    ("start-commit images master", "start commit images@master"),
    ("finish-commit images master", "finish commit images@master"),
    ("inspect-commit images abc", "inspect commit images@abc"),
    ("list-commit images", "list commit images"),
    ("list-commit images master -n 3", "list commit images@master -n 3"),
    ("flush-commit images/abc", "wait commit --downstream images@abc"),
    ("flush commit images@abc", "wait commit --downstream images@abc"),
    ("flush-job abc", "wait job abc"),
    ("subscribe-commit images master", "subscribe commit images@master"),
    ("create-branch images staging", "create branch images@staging"),
    ("set-branch images abc master", "create branch images@master --head abc"),
    ("delete-branch images staging", "delete branch images@staging"),
    ("list-branch images", "list branch images"),
    ("list-branches images", "list branch images"),
    ("inspect-branch images master", "inspect branch images@master"),
    ("inspect-repo images", "inspect repo images"),
    ("update-repo images -d new", "update repo images -d new"),
    ("delete-repo --all", "delete repo --all"),
    ("delete-commit abc", "delete commit abc"),
    ("start-pipeline edges", "start pipeline edges"),
    ("list-datum edges@abc", "list datum edges@abc"),
    ("start-transaction", "start transaction"),
    ("finish-transaction abc", "finish transaction abc"),
    ("create-pipeline -f edges.json", "create pipeline -f edges.json"),
    ("update-pipeline -f edges.json --reprocess", "update pipeline -f edges.json --reprocess"),
    ("delete-pipeline edges", "delete pipeline edges"),
    ("list-job -p edges", "list job -p edges"),
    ("inspect-job abc", "inspect job abc"),
    ("get-logs --job=abc", "logs --job=abc"),
    ("delete-all", "delete all"),
]


@pytest.mark.parametrize("old, new", OLD_AND_NEW)
def test_old_spelling_becomes_todays(old: str, new: str) -> None:
    spelled = modernise(shlex.split(old))
    assert spelled.words == shlex.split(new)
    assert (
        spelled.note.format(program="pachctl")
        == f"today this is written `pachctl {shlex.join(shlex.split(new))}`"
    )


@pytest.mark.parametrize("new", [new for _, new in OLD_AND_NEW])
def test_todays_spelling_parses_and_is_left_alone(new: str) -> None:
    words = shlex.split(new)
    assert modernise(words).words == words
    assert modernise(words).note == ""
    parse(words)


@pytest.mark.parametrize("words", [["put-file", "images"], ["set-branch", "images", "abc"]])
def test_old_spelling_with_too_few_names_is_refused(words: list[str]) -> None:
    with pytest.raises(Usage):
        modernise(words)


def test_braces_in_a_name_survive_the_note() -> None:
    note = modernise(["glob-file", "r", "master", "*.{png,jpg}"]).note
    assert (
        note.format(program="pachctl") == "today this is written `pachctl glob file 'r@master:*.{png,jpg}'`"
    )


@pytest.mark.parametrize("known", ELSEWHERE)
def test_what_is_gone_has_a_next_step_in_either_spelling(known: str) -> None:
    assert registry.find(known.split()) is None  # what is there needs no excuse
    for typed in ([*known.split(), "x"], [known.replace(" ", "-", 1), "x"], known.split()):
        assert elsewhere(typed) == (known, ELSEWHERE[known])
    assert ELSEWHERE[known].format(program="pachctl")


def test_what_is_no_verb_of_pachyderm_has_no_excuse() -> None:
    assert elsewhere(["fly", "repo"]) == elsewhere([""]) == elsewhere(["-"]) == ("", "")
