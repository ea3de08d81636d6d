"""Read the URL of an SQL database, and connect to it.

    postgresql://user@host:5432/database      (or postgres://; ?sslmode=... as in libpq, ?host=/folder of a socket)
    mysql://user@host:3306/database
    sqlite:///file.db                         below the folder that the server names

As in Pachyderm, the password is in a secret and never in the URL, and what is wanted of PostgreSQL and MySQL is their
database, not one of its schemas. Snowflake is refused by name: its driver is none of the packages that are here.

Read next: tables.py.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from pachlet.egress.outgoing import Halt, Halted, Outlets, check_need, need
from pachlet.errors import InvalidArgument, NotFound, PachletError, Refused, Unavailable, Unimplemented

if TYPE_CHECKING:
    from sqlalchemy import Connection

_KINDS = {"postgres": "postgresql", "postgresql": "postgresql", "mysql": "mysql", "sqlite": "sqlite"}
_DRIVERS = {"postgresql": "pg8000", "mysql": "pymysql", "sqlite": "sqlite3"}
_PORTS = {"postgresql": 5432, "mysql": 3306}
_PARAMETERS = {"postgresql": ("sslmode", "sslrootcert", "host"), "mysql": ("tls",), "sqlite": ()}
_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_CONNECT_WITHIN = 10.0
_LOCK_WITHIN = 30_000  # milliseconds
_BUSY_WITHIN = 5.0
# What may go by itself: connections and resources of PostgreSQL by class, its locks, and what MySQL has for these.
_PASSING = re.compile(r"08...|53...|57P0[1-5]|40001|40P01|55P03")
_PASSING_NUMBERS = (1040, 1053, 1203, 1205, 1213, 2002, 2003, 2006, 2013)


@dataclass(frozen=True)
class DatabaseURL:
    """Where a database is; `name` is that of a file below the folder that the server names if the kind is sqlite."""

    kind: str
    user: str
    host: str
    port: int
    name: str
    parameters: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        if self.kind == "sqlite":
            return f"sqlite:///{self.name}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.kind}://{self.user}@{host}:{self.port}/{self.name}"


def parse_database_url(url: str) -> DatabaseURL:
    """Return what a URL says.

    Raises:
        InvalidArgument: it is none, has a password, or parameters that mean nothing.
        Unimplemented: it is that of another kind of database.
    """
    try:
        parts = urlsplit(url, allow_fragments=False)
        port, host, password = parts.port, parts.hostname or "", parts.password
    except ValueError:
        raise InvalidArgument("egress.sql_database.url is no URL of a database", hint=_example()) from None
    if not parts.scheme or "://" not in url:
        raise InvalidArgument("egress.sql_database.url is no URL of a database", hint=_example())
    kind = _KINDS.get(parts.scheme, "")
    if not kind:
        raise Unimplemented(
            f'database protocol "{parts.scheme}" not supported', hint="one of postgresql, mysql and sqlite"
        )
    if password is not None:
        raise InvalidArgument(
            "egress.sql_database.url has a password, which everybody may read in the spec",
            hint="leave it out, and name the secret and the key that hold it",
        )
    parameters = _parameters(kind, parts)
    path = unquote(parts.path).strip("/")
    if kind == "sqlite":
        path = "/".join(filter(None, (unquote(parts.netloc), path)))
    elif "/" in path:
        raise InvalidArgument(
            f"{kind} DSN should not contain schema name",
            hint="write the schema in the folder's name: /schema.table/",
        )
    if not path:
        raise InvalidArgument("egress.sql_database.url names no database", hint=_example())
    user = unquote(parts.username or "")
    if kind != "sqlite" and not user:
        raise InvalidArgument("egress.sql_database.url names no user", hint=_example())
    return DatabaseURL(kind, user, host or "localhost", port or _PORTS.get(kind, 0), path, parameters)


def check_driver(url: DatabaseURL) -> None:
    """Raise Unimplemented if what a kind of database needs is not installed."""
    for module in ("sqlalchemy", _DRIVERS[url.kind]):
        check_need(module, "egress to an SQL database")


@contextmanager
def transaction(url: DatabaseURL, password: str, outlets: Outlets, halt: Halt) -> Iterator[Connection]:
    """Connect, and do what the block does in one transaction; an error of the database's is one of ours outside.

    Raises:
        Unavailable: the same may work later.
        PachletError: it won't.
        Halted: it was broken off.
    """
    alchemy = need("sqlalchemy", "egress to an SQL database")
    driver: list[Any] = []
    dialled: list[socket.socket] = []

    def connect() -> Any:
        driver[:] = [_connect(url, password, outlets, dialled)]
        return driver[0]

    def hang_up() -> None:  # ends a statement that waits, from another thread
        for each in driver:
            for name in ("_usock", "_sock"):
                found = getattr(each, name, None)
                if isinstance(found, socket.socket):
                    with contextlib.suppress(OSError):
                        found.shutdown(socket.SHUT_RDWR)

    dialect = url.kind if url.kind == "sqlite" else f"{url.kind}+{_DRIVERS[url.kind]}"
    engine = alchemy.create_engine(f"{dialect}://", creator=connect, poolclass=alchemy.pool.NullPool)
    if url.kind == "sqlite":
        alchemy.event.listen(engine, "begin", lambda found: found.exec_driver_sql("BEGIN IMMEDIATE"))
    try:
        with halt.calling(hang_up), engine.begin() as connection:
            if url.kind == "postgresql":
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = {_LOCK_WITHIN}")
            elif url.kind == "mysql":
                connection.exec_driver_sql(f"SET SESSION innodb_lock_wait_timeout = {_LOCK_WITHIN // 1000}")
            yield connection
            halt.check()
    except (PachletError, Halted):
        halt.check()
        raise
    except Exception as error:
        halt.check()
        found = explain(url, error)
        if found is None:
            raise
        raise found from None
    finally:
        engine.dispose()
        for line in dialled:  # a driver whose connection broke leaves it to the collector of garbage
            if (handle := line.detach()) >= 0:
                os.close(handle)


def explain(url: DatabaseURL, error: Exception) -> PachletError | None:
    """Return what is to be said of an error of the database, its driver or the way to it, None of any other."""
    cause = getattr(error, "orig", None) or error
    module = type(cause).__module__.partition(".")[0]
    if module not in ("pg8000", "pymysql", "sqlite3") and not isinstance(cause, OSError | EOFError):
        return None
    first = cause.args[0] if cause.args else ""
    if isinstance(first, dict):  # PostgreSQL's own fields
        text = first.get("M", "") + (f": {first['D']}" if first.get("D") else "")
        is_passing = _PASSING.fullmatch(first.get("C", "")) is not None
    elif isinstance(first, int) and module == "pymysql":
        text, is_passing = str(cause.args[-1]), first in _PASSING_NUMBERS
    else:
        text = str(cause) or type(cause).__name__
        is_passing = isinstance(cause, OSError | EOFError) or "locked" in text or _is_lost(cause)
        if "unable to open database file" in text:
            return NotFound(f"{url}: there is no such database", hint="make it, with its tables")
    said = f"{url}: {' '.join(text.split())}"
    return Unavailable(said) if is_passing else Refused(said)


def _is_lost(cause: BaseException) -> bool:
    """Tell whether a driver says that it has lost the connection, or never had one."""
    return type(cause).__name__ == "InterfaceError" and "refuses SSL" not in str(cause)


def _connect(url: DatabaseURL, password: str, outlets: Outlets, dialled: list[socket.socket]) -> Any:
    if url.kind == "sqlite":
        path = outlets.place(url.name, str(url))
        return need("sqlite3", "SQLite").connect(
            f"file:{quote(str(path))}?mode=rw", uri=True, isolation_level=None, timeout=_BUSY_WITHIN
        )
    if url.kind == "mysql":
        context = _context(url.parameters.get("tls", ""))
        mysql = need("pymysql", "MySQL")
        made = mysql.connect(
            user=url.user,
            password=password,
            host=url.host,
            database=url.name,
            charset="utf8mb4",
            ssl=context,
            defer_connect=True,
        )
        made.connect(_dial(url, dialled))
        return made
    mode = url.parameters.get("sslmode", "prefer")
    is_local = url.parameters.get("host", "").startswith("/")
    if mode == "disable" or is_local:
        return _postgres(url, password, None, dialled)
    try:
        return _postgres(url, password, _context(mode, url.parameters.get("sslrootcert")), dialled)
    except Exception as error:
        if mode in ("allow", "prefer") and "refuses SSL" in str(error):
            return _postgres(url, password, None, dialled)
        raise


def _postgres(
    url: DatabaseURL, password: str, context: ssl.SSLContext | None, dialled: list[socket.socket]
) -> Any:
    return need("pg8000.dbapi", "PostgreSQL").connect(
        url.user,
        host=url.host,
        database=url.name,
        password=password,
        ssl_context=context,
        sock=_dial(url, dialled),
        application_name="pachlet",
    )


def _dial(url: DatabaseURL, dialled: list[socket.socket]) -> socket.socket:
    """Connect to where a database is; what was made is in `dialled`, for the caller to close at last."""
    folder = url.parameters.get("host", "")
    try:
        if folder.startswith("/"):
            made = socket.socket(socket.AF_UNIX)
            dialled.append(made)
            made.connect(f"{folder}/.s.PGSQL.{url.port}")
        else:
            made = socket.create_connection((url.host, url.port), _CONNECT_WITHIN)
            dialled.append(made)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    except OSError as error:
        raise Unavailable(f"{url} can't be reached: {error.strerror or error}") from None
    made.settimeout(None)
    return made


def _context(mode: str, roots: str | None = None) -> ssl.SSLContext | None:
    """Return how a connection is encrypted; only `verify` asks who is at the other end."""
    if mode in ("", "false"):
        return None
    context = ssl.create_default_context(cafile=roots)
    if mode != "verify-full":
        context.check_hostname = False
    if mode not in ("verify-full", "verify-ca", "true"):
        context.verify_mode = ssl.CERT_NONE
    return context


def _parameters(kind: str, parts: SplitResult) -> dict[str, str]:
    found = dict(parse_qsl(parts.query, keep_blank_values=True))
    known = _PARAMETERS[kind]
    if strange := [each for each in found if each not in known]:
        hint = f"{kind} knows {', '.join(known)}" if known else f"{kind} knows no parameters"
        raise InvalidArgument(
            f"egress.sql_database.url has the parameter {strange[0]}, which means nothing", hint=hint
        )
    if found.get("sslmode", "prefer") not in _MODES:
        raise InvalidArgument(f"sslmode can't be {found['sslmode']!r}", hint=f"one of {', '.join(_MODES)}")
    if found.get("tls", "true") not in ("true", "false", "skip-verify"):
        raise InvalidArgument(f"tls can't be {found['tls']!r}", hint="one of true, false, skip-verify")
    return found


def _example() -> str:
    return "such as postgresql://user@host:5432/database"
