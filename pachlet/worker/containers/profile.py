"""Narrow the engine's own filter of system calls, where it leaves a step more than the process runner does.

Docker's filter knows no keys, no user namespaces and no sockets to the hypervisor. Podman's lets all three through, and
with the first a step that is root in its image reads the keys of this machine's root: what is root there is root here.
So Podman is given its own filter without them. It is read where Podman keeps it; an engine on another machine has its
own.

Read next: box.py (who gives it to the engine), ../syscalls.py (the process runner's).
"""

from __future__ import annotations

import functools
import json
import os
import socket
from pathlib import Path
from typing import Any

_PLACES = (Path("/etc/containers/seccomp.json"), Path("/usr/share/containers/seccomp.json"))
"""Where Podman looks for its filter, the first that is there."""
_MACHINES = ("x86_64", "aarch64", "riscv64")
_TAKEN = {
    "add_key",
    "clone",
    "clone3",
    "keyctl",
    "request_key",
    "setns",
    "socket",
    "socketcall",
    "syslog",
    "unshare",
}
"""What is allowed no more, or only as _LEFT says."""
_ALLOW, _NO_SUCH_CALL = "SCMP_ACT_ALLOW", 38
_NAMESPACES = 0x7E020000
"""The flags of `clone` that make namespaces; what comes after the call `clone3` can't be looked at."""
_FAMILIES = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, getattr(socket, "AF_NETLINK", 16))


@functools.cache
def narrowed() -> str:
    """Return Podman's filter without what a step shall not have, or '' where it is not known."""
    place = next((each for each in _PLACES if each.exists()), None)
    if place is None or os.uname().machine not in _MACHINES:
        return ""
    profile: dict[str, Any] = json.loads(place.read_text())
    kept = []
    for rule in profile["syscalls"]:
        names = [each for each in rule["names"] if each not in _TAKEN]
        kept += [{**rule, "names": names}] if names else []
    return json.dumps({**profile, "syscalls": [*kept, *_left()]})


def _left() -> list[dict[str, Any]]:
    clone = {"index": 0, "value": _NAMESPACES, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}
    families = [{"index": 0, "value": int(each), "op": "SCMP_CMP_EQ"} for each in _FAMILIES]
    return [
        {"names": ["clone"], "action": _ALLOW, "args": [clone]},
        *({"names": ["socket"], "action": _ALLOW, "args": [each]} for each in families),
        {
            "names": sorted(_TAKEN - {"clone", "socket"}),
            "action": "SCMP_ACT_ERRNO",
            "errnoRet": _NO_SUCH_CALL,
        },
    ]
