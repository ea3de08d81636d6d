"""Find what can't be right in the resources that a spec asks for.

Read next: meaning.py (the rest of the spec), quantity.py (how an amount is read).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from pachlet.errors import Refused
from pachlet.spec.positions import below
from pachlet.spec.quantity import parse_quantity
from pachlet.spec.remarks import Remarks
from pachlet.spec.validate import NETWORK

Object = Mapping[str, Any]

_WORKER = ("resource_requests", "resource_limits")
_SIDECAR = ("sidecar_resource_requests", "sidecar_resource_limits")
_OTHER = re.compile(r"\s*([0-9]{1,12}(?:\.[0-9]{1,6})?)\s*([kmgtp]?)(i?)(?:b|bytes?)?\s*", re.IGNORECASE)


def check_resources(remarks: Remarks, spec: Object) -> None:
    """Report amounts that can't be read, limits below requests, and a word for the network that is none."""
    for name in (*_WORKER, *_SIDECAR):
        resources = spec.get(name) or {}
        for kind in ("memory", "disk"):
            # What a sidecar gets is kept and given back only, so no server reads it.
            rule = "quantity" if name in _WORKER else "no-effect"
            _check_quantity(remarks, rule, f"{name}.{kind}", resources.get(kind))
        if (resources.get("cpu") or 0) < 0:
            remarks.wanted("quantity" if name in _WORKER else "no-effect", f"{name}.cpu", "cores: 0.5 or 2")
        if (resources.get("gpu") or {}).get("number") and not resources["gpu"].get("type"):
            hint = 'such as "type": "nvidia.com/gpu"'
            remarks.wanted("no-effect", f"{name}.gpu.type", "the kind of GPU", hint=hint)
    for requests, limits in (_WORKER, _SIDECAR):
        for kind in ("cpu", "memory", "disk"):
            low, high = (_amount((spec.get(name) or {}).get(kind)) for name in (requests, limits))
            if low and high and high < low:
                problem = f"found a limit below what {requests}.{kind} asks for, wanted at least that"
                remarks.say("limits", f"{limits}.{kind}", problem)
    word = ((spec.get("metadata") or {}).get("annotations") or {}).get(NETWORK)
    if word not in (None, "allow", "deny"):
        remarks.wanted("network", below("metadata.annotations", NETWORK), "allow or deny")


def _check_quantity(remarks: Remarks, rule: str, path: str, text: str | None) -> None:
    if not text or _amount(text) is not None:
        return
    other = _OTHER.fullmatch(text)
    meant = None
    if other:
        unit = other[2].upper()
        meant = f"{other[1]}{unit}i" if other[3] and unit else f"{other[1]}{'k' if unit == 'K' else unit}"
    remarks.wanted(rule, path, "a quantity such as 512Mi, 2G or 1.5Gi", meant=meant)


def _amount(value: str | float | None) -> Decimal | None:
    if isinstance(value, str):
        try:
            return parse_quantity(value)
        except Refused:
            return None
    return None if value is None else Decimal(value)
