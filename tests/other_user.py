"""How a test starts a program as another user.

Not by subprocess' own `user`: with that it forks by fork(), not vfork(), and the threads of gRPC in this process can
make the child crash before it is the other program.
"""

from __future__ import annotations


def run_as(uid: int) -> list[str]:
    """Return the words before a command by which a user runs it, in the group of his number and in no other."""
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
