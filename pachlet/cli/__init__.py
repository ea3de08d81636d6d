"""The command line: `pachctl`'s verbs, and a few of our own, in one program under both names.

A *verb* is one or two words (`put file`) and a function that is given the session and the parsed words. A
*session* is one run of the program: its streams, its environment, its connection. Only this room reads the
environment and prints.

Read in this order: main.py (from words to a verb), registry.py (all verbs), session.py, flags.py, output.py,
progress.py, spelling.py (what 1.x called things), hints.py, then verbs/.
"""
