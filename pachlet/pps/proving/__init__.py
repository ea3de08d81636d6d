"""Run the datums of a commit again, as they were run, and compare what comes of it with what is stored.

Nothing is written: the datums go to the server's own workers as those of jobs do, and what they give is compared, not
stored.

Read next: subjects.py (what can be proved), remaking.py (how a datum is made again), proving.py (the whole).
"""
