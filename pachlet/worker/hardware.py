"""Say which machine a datum runs on: what of it can make the last digit of a result different.

Read from files of the kernel, once in the life of a process: a datum starts no program for it, and none of it changes
while the machine runs.

Read next: process.py and containers/runner.py (who record it).
"""

from __future__ import annotations

import functools
import hashlib
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

_NVIDIA = "driver/nvidia"


@functools.cache
def machine_facts(proc: Path = Path("/proc")) -> Mapping[str, Any]:
    """Return the machine's facts; JSON-able.

    cpu: its model; cpu_flags: a digest of its instruction sets, because libraries choose their code by them;
    architecture, kernel; gpus: the models of NVIDIA's, one each; gpu_driver: their driver's version, or ''.
    """
    cpu = _cpu(proc / "cpuinfo")
    flags = " ".join(sorted((cpu.get("flags") or cpu.get("Features") or "").split()))
    return MappingProxyType(
        {
            "cpu": cpu.get("model name") or cpu.get("Hardware") or platform.machine(),
            "cpu_flags": hashlib.sha256(flags.encode()).hexdigest()[:16],
            "cpus": os.cpu_count() or 1,
            "architecture": platform.machine(),
            "kernel": f"{platform.system()} {platform.release()}",
            "gpus": _gpus(proc / _NVIDIA / "gpus"),
            "gpu_driver": _driver(proc / _NVIDIA / "version"),
        }
    )


def _cpu(path: Path) -> dict[str, str]:
    """Return what is said of the first processor; nothing where there is no such file."""
    facts: dict[str, str] = {}
    for line in _read(path).splitlines():
        name, _, value = line.partition(":")
        if not name.strip():
            break
        facts[name.strip()] = value.strip()
    return facts


def _gpus(folder: Path) -> list[str]:
    found = []
    for path in sorted(folder.glob("*/information")):
        for line in _read(path).splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "Model":
                found.append(value.strip())
    return found


def _driver(path: Path) -> str:
    """Return the driver's version: the first word with two dots or more of the first line."""
    words = _read(path).partition("\n")[0].split()
    return next((word for word in words if word.replace(".", "").isdigit() and "." in word), "")


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
