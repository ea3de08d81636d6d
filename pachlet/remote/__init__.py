"""A worker in a process of its own, on this machine or another, that shares no disk with its server.

Promise: all that it knows of its server comes over the connection, and all that it makes goes there; its own folder
holds the code of images, their environments and the datum in hand, and may be lost at any time.

Beside it one datum that is run for whoever looks at it, in a folder of theirs: datum, bench, terminal; docs/debug.md.

Read in this order: ../worker/head.py, head, process; docs/workers.md.
"""
