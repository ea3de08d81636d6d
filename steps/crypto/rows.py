"""Which rows a model learns from, said in SQL: a condition over the columns of one row, in DuckDB's dialect.

    slug      the coin                         vol     its daily volatility, known that day
    date      the day                          age     days of its history so far
    price     its close, in dollars            moved   whether the quote changed that day
    volume    dollars traded; NULL if unknown

A condition sees its row and no other: one that compares with an average of all rows would choose by days that had not
come when the model was fitted. So it holds no subquery, aggregate or window, and it reads no file. What it may use is a
list of functions and types: nothing that says another thing tomorrow or on another machine (`random()`, a time zone),
and nothing that makes much of little (`repeat()`, `printf()`), whose strings no memory limit of DuckDB's bounds.

Read next: panel.py, walkforward.py and training.py (whose rows they are).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd

from pachlet.step import BadInput
from steps.crypto.features import Indexes, origins
from steps.crypto.series import Series

Mask = npt.NDArray[np.bool_]

COLUMNS = {
    "slug": "VARCHAR",
    "date": "TIMESTAMP",
    "price": "DOUBLE",
    "volume": "DOUBLE",
    "vol": "DOUBLE",
    "age": "BIGINT",
    "moved": "BOOLEAN",
}
LONGEST = 4000  # characters
# What a condition is made of, as DuckDB names the nodes of its syntax tree.
PARTS = {"BETWEEN", "CASE", "CAST", "COLUMN_REF", "COMPARISON", "CONJUNCTION", "CONSTANT", "FUNCTION"} | {
    "OPERATOR", "TYPE",
}  # fmt: skip
# Each makes no more of a value than there was, in a time that grows with its length.
FUNCTIONS = {
    "numbers": "+ - * / // % ^ ** @ abs ceil exp floor greatest isfinite isinf isnan least ln log log10 log2 mod pow"
    " power round sign sqrt trunc",
    "text": "~~ !~~ ~~* !~~* ^@ contains ends_with ilike_escape left length like_escape lower ltrim not_ilike_escape"
    " not_like_escape position prefix regexp_full_match regexp_matches right rtrim starts_with strpos substr substring"
    " suffix trim upper",
    "days": "date_diff date_part date_trunc datediff datepart datetrunc day dayname dayofweek dayofyear isodow isoyear"
    " last_day month monthname quarter to_days to_months to_weeks to_years week weekday weekofyear year",
    "choice": "if nullif",
}
ALLOWED = {name for names in FUNCTIONS.values() for name in names.split()}
# No time zone, which is another on another machine, and nothing that holds many values.
TYPES = {"BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE", "DECIMAL", "VARCHAR"} | {
    "DATE", "TIMESTAMP", "INTERVAL",
}  # fmt: skip
LIMIT_SECONDS = 30.0
AGAIN_SECONDS = 0.01  # between interruptions: one that comes before a query has begun is lost


def chosen_rows(series: Sequence[Series], coin: Indexes, at: Indexes, condition: str) -> Mask:
    """Say for which rows (coin number, day number) a condition holds; the empty one holds for all."""
    chosen = np.ones(len(at), dtype=bool)
    if not condition.strip():
        return chosen
    place = list(zip(coin.tolist(), at.tolist(), strict=True))
    table = pd.DataFrame(
        {
            "row_number": np.arange(len(place)),
            "slug": [series[c].slug for c, _ in place],
            "date": pd.to_datetime([series[c].dates[day] for c, day in place]),
            "price": [np.exp(series[c].log_close[day]) for c, day in place],
            "volume": [series[c].volume[day] for c, day in place],
            "vol": [series[c].vol[day] for c, day in place],
            "age": at,
            "moved": [series[c].ret[day] != 0 for c, day in place],
        }
    )
    table["volume"] = table["volume"].astype(object).where(table["volume"].notna(), None).astype("Float64")
    with database() as memory:
        memory.register("panel", table)
        found = ask(memory, condition)
    chosen[:] = False
    chosen[found] = True
    return chosen


def chosen_days(series: Series, lags: int, condition: str) -> Mask:
    """Say of each day of one coin whether a model of its own may learn from it; a day without a frame is none."""
    at = origins(series, lags)
    at = at[series.observed[at]]
    chosen = np.zeros(len(series), dtype=bool)
    chosen[at] = chosen_rows([series], np.zeros(len(at), dtype=np.int64), at, condition)
    return chosen


def check_condition(condition: str) -> None:
    """Raise BadInput if a condition would be refused, whatever the rows are."""
    if condition.strip():
        with database() as memory:
            columns = ", ".join(
                f"{name} {kind}" for name, kind in {"row_number": "BIGINT", **COLUMNS}.items()
            )
            memory.execute(f"CREATE TABLE panel ({columns})")
            ask(memory, condition)


def database() -> duckdb.DuckDBPyConnection:
    """A database of its own, in memory."""
    return duckdb.connect(":memory:", config={"threads": "1", "memory_limit": "1GB"})


def ask(memory: duckdb.DuckDBPyConnection, condition: str, seconds: float = LIMIT_SECONDS) -> list[int]:
    """Return the numbers of the rows of `panel` for which a condition holds; BadInput if that takes longer."""
    # The condition is whoever's who wrote the parameters: it may look at these rows and at nothing else.
    memory.execute("SET enable_external_access = false")
    memory.execute("SET lock_configuration = true")
    query = f"SELECT row_number FROM panel WHERE (\n{condition}\n)"
    try:
        if problem := refusal(memory, query):
            raise BadInput(f'"rows": {quoted(condition)} is no condition on a row: {problem}')
        with interrupted_after(seconds, memory):
            return [row for (row,) in memory.execute(query).fetchall()]
    except duckdb.InterruptException as error:
        raise BadInput(
            f'"rows": {quoted(condition)} takes longer than {seconds:g} s: say it more simply'
        ) from error
    except duckdb.Error as error:
        said = str(error).splitlines()[0]
        raise BadInput(f'"rows": {quoted(condition)} is no condition: {said}') from error


@contextmanager
def interrupted_after(seconds: float, memory: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Interrupt what runs on a connection if it isn't done after so many seconds."""
    done = threading.Event()

    def watch() -> None:
        if not done.wait(seconds):
            memory.interrupt()
            while not done.wait(AGAIN_SECONDS):
                memory.interrupt()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def quoted(condition: str) -> str:
    """Show a condition in a message: its beginning, if it is long."""
    return repr(condition if len(condition) <= 200 else condition[:200] + "…")


def refusal(memory: duckdb.DuckDBPyConnection, query: str) -> str:
    """Say what a query holds beside a condition on one row; nothing if it holds no more."""
    if len(query) > LONGEST:
        return f"longer than {LONGEST} characters"
    [(text,)] = memory.execute("SELECT json_serialize_sql(?)", [query]).fetchall()
    try:
        tree = json.loads(text)
    except RecursionError:
        return "it is nested too deeply"
    more = "it is more than a condition"
    if tree["error"]:
        return more if tree["error_type"] == "not implemented" else str(tree["error_message"]).splitlines()[0]
    node = tree["statements"][0]["node"]
    beside = ("modifiers", "group_expressions", "having", "sample", "qualify")
    if len(tree["statements"]) > 1 or node["type"] != "SELECT_NODE" or any(node[name] for name in beside):
        return more
    for part in parts(node["where_clause"]):
        kind, function = part["class"], part.get("function_name", "")
        if kind not in PARTS:
            return f"it holds a {kind.lower()}"
        if kind == "FUNCTION" and function.lower() not in ALLOWED:
            named = ", ".join(sorted(filter(str.isidentifier, ALLOWED)))
            return f"it may not use {called(function)}; there is: arithmetic, LIKE, {named}"
        if kind == "TYPE" and part["type_name"].upper() not in TYPES:
            return f"it may not use the type {part['type_name']}; there is: {', '.join(sorted(TYPES))}"
        if kind == "COLUMN_REF" and part["column_names"][-1].lower() not in COLUMNS:
            return f"there is no column {part['column_names'][-1]!r}; known: {', '.join(COLUMNS)}"
    return ""


def called(function: str) -> str:
    """Name a function or an operator as it is written."""
    return f"{function}()" if function.isidentifier() else function


def parts(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield the expressions of a syntax tree."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if "class" in node:
                yield node
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node
