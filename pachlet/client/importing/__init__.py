"""Copy projects, repos, branches, commits and pipeline specs from one Pachyderm 2.x to another.

The *source* is read and the *target* is written, both through public RPCs only. Each copied commit keeps the
id that it had at the source as metadata, a *mark*; by the marks a second run finds what is there already.

Read in this order: marks.py, history.py (commits and branches of a repo), difference.py (the content of one
commit), everything.py (projects and repos), specs.py.
"""
