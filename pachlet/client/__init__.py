"""Speak to a Pachyderm-compatible server, in Pachyderm's words.

A *connection* is an address, a project and perhaps a token. A *verb* is a function that takes the connection
first (`create_repo(connection, ...)`). A *name* is what a user types (`repo@branch:path`), turned into a
request's fields. Everything here goes over gRPC and works against any Pachyderm 2.x; nothing here reads the
environment, prints or knows the engine.

Read in this order: connection.py, names.py, context.py, then the verbs: projects.py, repos.py, branches.py,
commits.py, transactions.py, metadata.py, files.py, put_file.py, get_file.py, pipelines.py, jobs.py,
watch.py, datums.py, logs.py, cluster.py; last what is built from them: apply.py, lineage/, importing/.
"""
