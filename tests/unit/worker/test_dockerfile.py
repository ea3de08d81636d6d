"""The part of a Dockerfile that is understood, and the sentence for each thing that is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from pachlet.errors import InvalidArgument
from pachlet.worker.dockerfile import read_dockerfile


def read(tmp_path: Path, text: str):
    path = tmp_path / "Dockerfile"
    path.write_text(text)
    return read_dockerfile(path, "images/x/Dockerfile")


def test_all_instructions_are_read_with_comments_and_continued_lines(tmp_path):
    text = (
        "# syntax=docker/dockerfile:1\n"
        "ARG BASE=pachlet/base-frames:1\n"
        "FROM ${BASE}\n"
        "\n"
        "LABEL org.example.note='two words'\n"
        "WORKDIR /app\n"
        "COPY requirements.txt \\\n"
        "# in between\n"
        "     other.txt /app/\n"
        "run pip install --no-cache-dir --require-hashes -r /app/requirements.txt\n"
        'ENV A=1 B="x y"\n'
    )
    found = [(each.keyword, each.words, each.line) for each in read(tmp_path, text)]
    assert found == [
        ("FROM", ("pachlet/base-frames:1",), 3),
        ("LABEL", ("org.example.note=two words",), 5),
        ("WORKDIR", ("/app",), 6),
        ("COPY", ("requirements.txt", "other.txt", "/app/"), 7),
        ("RUN", ("pip", "install", "--no-cache-dir", "--require-hashes", "-r", "/app/requirements.txt"), 10),
        ("ENV", ("A=1", "B=x y"), 11),
    ]


@pytest.mark.parametrize(
    "text, problem",
    [
        ("", "1: there is no FROM"),
        ("ARG A=1\n", "1: there is no FROM"),
        ("COPY a /a\nFROM b\n", "1: FROM must come first"),
        ("FROM a\nFROM b\n", "2: FROM must come first"),
        ("FROM a AS b\n", "1: FROM takes the name of one image"),
        ("FROM $A\n", "1: no ARG gives A a value"),
        ("ARG A\nFROM b\n", "1: ARG must stand before FROM"),
        ("FROM b\nARG A=1\n", "2: ARG must stand before FROM"),
        ("FROM a\n\nRUN apt-get update\n", "3: this RUN is not understood"),
        ("FROM a\nRUN pip install -r requirements.txt\n", "2: this RUN is not understood"),
        ("FROM a\nCOPY --chown=1 a /a\n", "2: COPY --chown=1 is not understood"),
        ('FROM a\nCOPY ["a", "/a"]\n', "2: COPY [a, is not understood"),
        ("FROM a\nCOPY a\n", "2: COPY needs a source and a destination"),
        ("FROM a\nCOPY *.py /a/\n", "2: COPY *.py: patterns are not understood"),
        ("FROM a\nCOPY ../x /a\n", "2: COPY ../x: the file is outside"),
        ("FROM a\nCOPY $x /a\n", "2: COPY $x: variables are not understood"),
        ("FROM a\nWORKDIR app\n", "2: WORKDIR needs one absolute path"),
        ("FROM a\nENV A 1\n", "2: ENV A is not NAME=value"),
        ("FROM a\nENV PATH=/x:$PATH\n", "2: ENV PATH=/x:$PATH: variables are not understood"),
        ("FROM a\nUSER me\n", "2: USER is not understood"),
        ("FROM a\nWORKDIR\n", "2: WORKDIR needs something after it"),
        ("FROM a\nENV A='1\n", "2: no closing quotation"),
    ],
)
def test_what_is_not_understood_is_refused_with_file_and_line(tmp_path, text, problem):
    with pytest.raises(InvalidArgument) as refused:
        read(tmp_path, text)
    assert str(refused.value).startswith(f"images/x/Dockerfile:{problem}")
    assert refused.value.hint


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "Dockerfile").write_bytes(b"FROM \xff\n")
    with pytest.raises(InvalidArgument, match="not text in UTF-8"):
        read_dockerfile(tmp_path / "Dockerfile", "images/x/Dockerfile")
