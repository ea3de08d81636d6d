"""The versioned file system: projects, repos, branches, commits, files, and how a change moves downstream.

Words: a *commit set* is all commits with one id; the *head* of a branch is its newest commit; *provenance* is what a
branch or commit depends on, *subvenance* what depends on it; a commit is *open* until it is told to finish,
*finishing* until its content is settled, then *finished*.

Promise: whatever one request does becomes visible at once or not at all.

Read in this order: records.py, transactions.py, repos.py, branches.py, commits.py, propagation.py, finishing.py,
files.py.
"""
