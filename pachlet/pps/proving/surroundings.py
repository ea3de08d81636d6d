"""Say in what a machine and its libraries are other than those that a datum was recorded with.

The same code gives other last digits on another processor or with another library, and that is no fault of the code. So
what differs where the surroundings differ is not comparable. A fact that was not recorded tells nothing.

Read next: proving.py (who asks), ../recording.py (what is recorded).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

_MACHINE = {
    "cpu": "processor",
    "cpu_flags": "instruction set",
    "architecture": "architecture",
    "gpus": "GPU",
    "gpu_driver": "GPU driver",
}
_SOFTWARE = {"python_version": "Python", "packages": "installed packages", "programs": "installed programs"}
_SANDBOXES = {"container": "a container"}


def differences(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return what is other than recorded, each as part of a sentence; both are facts of an image that ran."""
    found = list(_other(_MACHINE, _machine(recorded), _machine(now)))
    found += _other(_SOFTWARE, recorded, now)
    if (then := recorded.get("sandbox")) and (here := now.get("sandbox")) and then != here:
        found.append(
            f"it ran in {_SANDBOXES.get(then, 'a process')}, here in {_SANDBOXES.get(here, 'a process')}"
        )
    return found


def _machine(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    found = facts.get("machine")
    return found if isinstance(found, Mapping) else {}


def _other(names: Mapping[str, str], recorded: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for key, name in names.items():
        if recorded.get(key) is None or key not in now:
            continue
        then, here = _plain(key, recorded[key]), _plain(key, now[key])
        if then != here:
            is_telling = key in ("cpu", "architecture", "gpus", "gpu_driver", "python_version")
            yield f"{name}: {then or 'none'}, here {here or 'none'}" if is_telling else f"other {name}"


def _plain(name: str, value: Any) -> str:
    """Return a fact as text; of a list of packages the digest under which it is recorded."""
    if isinstance(value, list | tuple):
        if name == "packages":
            text = "".join(f"{each}\n" for each in value)
            return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
        return ", ".join(map(str, value))
    return str(value)
