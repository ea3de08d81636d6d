"""Deliver files to where they are needed outside: object stores and tables of SQL databases.

Words: what is delivered is `Outgoing` files; where to is a URL; `Outlets` is what the server lets be reached, and
`Halt` says that nobody waits for it any more. A delivery may be begun anew once it was broken off; it ends the same.

Knows nothing of commits and pipelines. What it needs (obstore, SQLAlchemy and drivers) is an extra that is imported at
the first delivery. Read in this order: outgoing.py, object_url.py, object_store.py.
"""
