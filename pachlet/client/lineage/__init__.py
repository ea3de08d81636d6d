"""Follow a file back to all that it was made of, or on to all that was made of it.

    file -> datum -> job, pipeline version, spec commit, code -> files -> ...

Read in this order: graph.py (what is found), asking.py (a pachlet server tells it in one answer), walking.py (any other
is asked datum by datum), text.py and openlineage.py (how it is shown), blame.py (what differs between two).
"""
