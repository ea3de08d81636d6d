"""What does not fit a table is said with its place, and nothing of it stays; on SQLite, which takes what it gets."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from pachlet.egress.database_url import parse_database_url
from pachlet.egress.outgoing import Halt, Halted, Outgoing, Outlets
from pachlet.egress.tables import RowFormat, write_tables
from pachlet.errors import PachletError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    query(tmp_path, "CREATE TABLE t (n integer, s text NOT NULL)")
    query(tmp_path, "INSERT INTO t VALUES (99, 'of old')")
    return tmp_path


def query(folder: Path, statement: str) -> list[object]:
    with contextlib.closing(sqlite3.connect(folder / "d.db")) as found:
        rows = found.execute(statement).fetchall()
        found.commit()
        return rows


def write(
    folder: Path, files: dict[str, str | bytes], type: str, *columns: str, halt: Halt | None = None
) -> dict[str, int]:
    contents = {path: text.encode() if isinstance(text, str) else text for path, text in files.items()}
    outgoing = [Outgoing(path, len(text), lambda text=text: iter([text])) for path, text in contents.items()]  # type: ignore[misc]
    url = parse_database_url("sqlite:///d.db")
    format = RowFormat(type, columns)
    return write_tables(url, "", Outlets({}, folder), format, outgoing, halt or Halt(), lambda _: None)


@pytest.mark.parametrize(
    "files, type, columns, message",
    [
        ({"/t/a": "1,x\ny,x\n"}, "CSV", (), "/t/a:2: column n: 'y' is no integer"),
        (
            {"/t/a": "n,s\n1,x\n"},
            "CSV",
            (),
            "column n: 'n' is no integer (if this is a header, name its columns",
        ),
        ({"/t/a": "1,x\n2\n"}, "CSV", (), "/t/a:2: found 1 fields, wanted 2: n, s"),
        ({"/t/a": '1,"x\n2,y\n'}, "CSV", (), '/t/a:1: a field begins with " and never ends'),
        ({"/t/a": "1,x\n2,\n"}, "CSV", (), "/t/a:2: NOT NULL constraint failed: t.s"),
        (
            {"/t/a": "n,z\n1,x\n"},
            "CSV",
            ("n", "s"),
            "/t/a:1: found the column 'z' in the header, wanted n, s",
        ),
        (
            {"/t/a": "s,n\nx,1\n"},
            "CSV",
            ("s", "n"),
            "table t has the columns n, s, and file_format.columns says s, n",
        ),
        ({"/t/a": b"1,\xff\n"}, "CSV", (), "/t/a:1: it, or what comes soon after it, is no UTF-8"),
        ({"/t/a": '{"n": 1, "s": "x"}\n[1]\n'}, "JSON", (), "/t/a:2: found a list, wanted an object"),
        ({"/t/a": '{"n": 1, "s": "x"}\n{"n": \n'}, "JSON", (), "/t/a:2: it is no JSON"),
        ({"/t/a": '{"n": true, "s": "x"}'}, "JSON", (), "/t/a:1: column n: True is no integer"),
        ({"/t/a": "no"}, "PARQUET", (), "/t/a: it is no Parquet"),
        ({"/other/a": "1,x"}, "CSV", (), "there is no table other "),
        ({"/a.csv": "1,x"}, "CSV", (), "/a.csv lies in no folder, so it is of no table"),
    ],
)
def test_what_does_not_fit_changes_nothing(
    folder: Path, files: dict[str, str | bytes], type: str, columns: tuple[str, ...], message: str
) -> None:
    with pytest.raises(PachletError) as refused:
        write(folder, files, type, *columns)
    error = refused.value
    assert message in f"{error.message} ({error.hint})"
    assert query(folder, "SELECT * FROM t") == [(99, "of old")]


def test_rows_of_several_files_replace_those_that_were_there(folder: Path) -> None:
    many = "".join(f'{n},"{"x" * (n % 7)}"\n' for n in range(3000))
    assert write(folder, {"/t/a": many, "/T/deep/er/b": "", "/t/c": "-1,y"}, "CSV") == {"t": 3001, "T": 0}
    assert query(folder, "SELECT count(*), sum(n), max(length(s)) FROM t") == [(3001, 4498499, 6)]  # T is t


def test_delivery_that_is_broken_off_changes_nothing(folder: Path) -> None:
    halt = Halt()
    halt.set()
    with pytest.raises(Halted):
        write(folder, {"/t/a": "1,x"}, "CSV", halt=halt)
    assert query(folder, "SELECT * FROM t") == [(99, "of old")]
