"""Write files into the tables of an SQL database, all in one transaction.

As in Pachyderm, the first folder of a file's path is its table (`schema.table` where there are schemas), which has to
be there; at its first file all rows of it are deleted, then those of its files are inserted. So a table shows one
commit, or the one before if anything went wrong; a table that no file is of stays as it is.

Read next: database_url.py, rows.py, values.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pachlet.egress.database_url import DatabaseURL, explain, transaction
from pachlet.egress.outgoing import Halt, Outgoing, Outlets, need
from pachlet.egress.rows import Row, bad_row, read_rows
from pachlet.egress.values import Convert, converter
from pachlet.errors import InvalidArgument, NotFound, Refused, Unavailable

if TYPE_CHECKING:
    from sqlalchemy import Connection

_ROWS = 1000  # of one statement, as upstream
_VALUES = 30_000  # of one statement; SQLite takes 32,766 and PostgreSQL 65,535
_SIZE = 8 << 20  # of the values of one statement, roughly


@dataclass(frozen=True)
class RowFormat:
    """What the files are: CSV, JSON or PARQUET, and their fields in the order of the table's columns."""

    type: str
    columns: tuple[str, ...] = ()


@dataclass
class _Table:
    name: str
    fields: tuple[str, ...]
    """What the files call the columns that are written."""
    columns: tuple[str, ...]
    converters: tuple[Convert, ...]
    insert: str
    """The statement up to its values."""
    rows: int = 0


def write_tables(
    url: DatabaseURL,
    password: str,
    outlets: Outlets,
    format: RowFormat,
    files: Iterable[Outgoing],
    halt: Halt,
    done: Callable[[Outgoing], None],
) -> dict[str, int]:
    """Replace the rows of every table that one of the files is of; return how many each has got.

    `done` is told of each file that was read. Nothing of it is to be seen if any error is raised.

    Raises:
        Unavailable: the same may work later.
        PachletError: it won't: a row, a table, the password or the URL is wrong.
        Halted: it was broken off.
    """
    with transaction(url, password, outlets, halt) as connection:
        writer = _Writer(url, connection, format, halt)
        for file in files:
            writer.write(file)
            done(file)
    return {table.name: table.rows for table in writer.tables.values()}


class _Writer:
    def __init__(self, url: DatabaseURL, connection: Connection, format: RowFormat, halt: Halt) -> None:
        self._url = url
        self._connection = connection
        self._format = format
        self._halt = halt
        self._alchemy = need("sqlalchemy", "egress to an SQL database")
        self._inspector = self._alchemy.inspect(connection)
        self.tables: dict[str, _Table] = {}
        self._emptied: set[str] = set()

    def write(self, file: Outgoing) -> None:
        """Insert the rows of one file."""
        folder, slash, _ = file.path.lstrip("/").partition("/")
        if not slash:
            raise InvalidArgument(
                f"{file.path} lies in no folder, so it is of no table",
                hint="write it to /pfs/out/TABLE/",
            )
        table = self.tables.get(folder)
        if table is None:
            table = self.tables[folder] = self._open(folder)
        batch, size = list[tuple[int, list[Any]]](), 0
        most = max(1, min(_ROWS, _VALUES // max(1, len(table.columns))))
        has_header = bool(self._format.columns)
        for row in read_rows(file, self._format.type, table.fields, has_header=has_header):
            values = self._convert(file, table, row)
            batch.append((row.line, values))
            size += sum(len(each) if isinstance(each, str | bytes) else 8 for each in values)
            if len(batch) >= most or size > _SIZE:
                self._insert(file, table, batch)
                batch, size = [], 0
        if batch:
            self._insert(file, table, batch)

    def _convert(self, file: Outgoing, table: _Table, row: Row) -> list[Any]:
        made = []
        for name, convert, value in zip(table.columns, table.converters, row.values, strict=True):
            try:
                made.append(None if value is None else convert(value))
            except ValueError as problem:
                is_header = row.line == 1 and self._format.type == "CSV" and not self._format.columns
                hint = "if this is a header, name its columns in file_format.columns" if is_header else ""
                raise bad_row(file.path, row.line, f"column {name}: {problem}", hint) from None
        return made

    def _insert(self, file: Outgoing, table: _Table, batch: Sequence[tuple[int, list[Any]]]) -> None:
        self._halt.check()
        try:
            with self._connection.begin_nested():
                self._run(table, [values for _, values in batch])
        except Exception as error:
            found = explain(self._url, error)
            if found is None or isinstance(found, Unavailable):
                raise
            if len(batch) == 1:
                problem = found.message.removeprefix(f"{self._url}: ")
                raise bad_row(file.path, batch[0][0], problem, found.hint) from None
            half = len(batch) // 2  # which of them it is, is found in a few more tries
            self._insert(file, table, batch[:half])
            self._insert(file, table, batch[half:])
            return
        table.rows += len(batch)

    def _run(self, table: _Table, rows: Sequence[list[Any]]) -> None:
        mark = "?" if self._url.kind == "sqlite" else "%s"
        one = f"({', '.join([mark] * len(table.columns))})"
        statement = f"{table.insert} VALUES {', '.join([one] * len(rows))}"
        self._connection.exec_driver_sql(statement, tuple(value for row in rows for value in row))

    def _open(self, folder: str) -> _Table:
        """Return the table that a folder is named after, emptied."""
        schema, dot, name = folder.partition(".")
        if not dot:
            schema, name = "public" if self._url.kind == "postgresql" else "", folder
        found = self._find(folder, schema, name)
        columns = self._inspector.get_columns(found, schema or None)
        if self._format.type == "CSV" or self._format.columns:
            chosen = _choose(folder, self._format, [each["name"] for each in columns])
        else:
            chosen = [each["name"] for each in columns]
        by_name = {each["name"]: each["type"] for each in columns}
        quoted = self._alchemy.Table(found, self._alchemy.MetaData(), schema=schema or None)
        preparer = self._connection.dialect.identifier_preparer
        target = preparer.format_table(quoted)
        if target not in self._emptied:  # two folders may mean one table: T and t, public.t and t
            self._connection.exec_driver_sql(f"DELETE FROM {target}")
            self._emptied.add(target)
        return _Table(
            name=folder,
            fields=self._format.columns or tuple(chosen),
            columns=tuple(chosen),
            converters=tuple(converter(self._alchemy, self._url.kind, by_name[each]) for each in chosen),
            insert=f"INSERT INTO {target} ({', '.join(map(preparer.quote, chosen))})",
        )

    def _find(self, folder: str, schema: str, name: str) -> str:
        there = self._inspector.get_table_names(schema or None) if self._has(schema) else []
        if name in there:
            return name
        alike = [each for each in there if each.lower() == name.lower()]
        if len(alike) == 1:
            return str(alike[0])
        if self._has(schema) and self._inspector.has_table(name, schema or None):
            return name  # a view, perhaps
        raise NotFound(
            f"{self._url}: there is no table {folder}",
            hint=f"create it there; the tables are: {', '.join(sorted(there)[:20]) or 'none'}",
        )

    def _has(self, schema: str) -> bool:
        return not schema or schema in self._inspector.get_schema_names()


def _choose(table: str, format: RowFormat, there: Sequence[str]) -> list[str]:
    """Return which columns of a table the fields of the files are for, as upstream has it: one after the other.

    Upstream takes columns by their places, whatever their names; here one whose name says something else is refused,
    and some of the columns may be left out if all others are named.
    """
    if not format.columns:
        return list(there)
    wanted = [each.lower() for each in format.columns]
    known = [each.lower() for each in there]
    if set(wanted) <= set(known):
        places = [known.index(each) for each in wanted]
        if places == sorted(set(places)):
            return [there[at] for at in places]
    elif len(wanted) == len(known):
        return list(there)
    raise Refused(
        f"table {table} has the columns {', '.join(there)}, and file_format.columns says {', '.join(format.columns)}",
        hint="name them in the order of the table; the header of a CSV file may have any order",
    )
