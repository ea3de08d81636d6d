"""What a pipeline's steps are permitted: how much of the machine, and whether they reach the network.

Limits are those of the spec's `resource_limits`. The network is Pachyderm's to give, and a step that uses it can't be
made again from its inputs; so each pipeline says with the annotation `pachlet/network` whether it needs it, and the
server's option has the last word when it denies it.

Read next: ../worker/interface.py (Limits), ../spec/quantity.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pachlet.spec.quantity import parse_bytes
from pachlet.spec.validate import NETWORK
from pachlet.worker.interface import Limits

Network = Literal["ask", "allow", "deny"]
"""`ask`: the pipelines that say so have it. `allow`: all but those that deny it. `deny`: none."""
_UNITS = ("B", "KB", "MB", "GB", "TB", "PB")


def limits_of(spec: Mapping[str, Any]) -> Limits:
    """Return the limits of an effective spec."""
    return _amounts(spec.get("resource_limits") or {})


def requests_of(spec: Mapping[str, Any]) -> Limits:
    """Return what an effective spec asks to be kept free for each worker: its requests, else its limits."""
    return _amounts({**(spec.get("resource_limits") or {}), **(spec.get("resource_requests") or {})})


def _amounts(resources: Mapping[str, Any]) -> Limits:
    return Limits(
        memory=parse_bytes(resources["memory"]) if resources.get("memory") else None,
        cpu=float(resources["cpu"]) if resources.get("cpu") else None,
        disk=parse_bytes(resources["disk"]) if resources.get("disk") else None,
    )


def is_denied_network(spec: Mapping[str, Any], policy: Network) -> bool:
    """Tell whether a spout does without the machine's network, which it has unless something is said against it."""
    return policy == "deny" or _asked(spec) == "deny"


def may_use_network(spec: Mapping[str, Any], policy: Network) -> bool:
    """Tell whether the steps of an effective spec get the machine's network."""
    asked = _asked(spec)
    if policy == "deny":
        return False
    return bool(asked != "deny" if policy == "allow" else asked == "allow")


def _asked(spec: Mapping[str, Any]) -> str:
    return str(((spec.get("metadata") or {}).get("annotations") or {}).get(NETWORK, ""))


def amount(size: int) -> str:
    """Return a number of bytes as people say it: 4 GB."""
    number, unit = float(size), 0
    while number >= 1000 and unit < len(_UNITS) - 1:
        number, unit = number / 1000, unit + 1
    return f"{number:.3g} {_UNITS[unit]}" if number < 999.5 else f"{number:.0f} {_UNITS[unit]}"
