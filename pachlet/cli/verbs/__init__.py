"""One module per family of verbs; each verb is two functions, its arguments and what it does.

`create_repo_arguments(parser)` declares the words after `create repo`, `create_repo(session, arguments)` does
the work and returns nothing, or an exit status. ../registry.py lists them; a module is imported only when its
verb is used.

Read next: repo.py, the plainest.
"""
