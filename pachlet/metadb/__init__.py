"""The one database file: every fact of the engine that is not file content.

Words: a *statement* is a named piece of SQL in `queries/`; a *transaction* is everything that becomes true at once; a
*change* is the end of a write transaction, for which others can wait.

Promise: one writer at a time, readers never wait, and what a write transaction did is on disk when it returns
(write-ahead log, synchronous FULL).

Read in this order: schema.sql, statements.py, connect.py, changes.py.
"""
