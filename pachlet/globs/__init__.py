"""Globs: patterns that pick files and directories of a commit, and the groups that joins key on.

A *glob* is a pattern over paths; a *group* is a part of it in round brackets, whose text it *captures*.
Matching takes time in proportion to a path's length, whatever the pattern.

Read in this order: glob.py (the language and the class that PFS uses), pattern.py, machine.py. Beside them stands
regex.py: regular expressions, which only storage.Fileset has.
"""

from pachlet.globs.glob import Glob

__all__ = ["Glob"]
