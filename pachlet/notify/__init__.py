"""Tell people when a job set broke.

A job set is *broken* when one of its jobs failed or could not run. A *letter* is what is said about one. A
*channel* delivers letters: a mail or a webhook. The *memory* is the file that says which letters were delivered,
so that none is delivered twice. Everything is learnt through Pachyderm's API, so it works on any Pachyderm 2.x.

Read in this order: watch.py, broken.py, letter.py, channels.py, memory.py, mail.py, webhook.py.
"""
