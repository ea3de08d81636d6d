"""Say by name what a spec asks for and this engine does not do.

A field that changes what a pipeline computes is refused; one that only steers Kubernetes (tolerations, pod patches,
requests) is stored and returned, and makes no difference here.

Read next: pipelines.py (who asks).
"""

from __future__ import annotations

from typing import Any

from pachlet.errors import Unimplemented
from pachlet.pps.inputs import NO_GATEWAY

REFUSED = {
    "egress": "egress",
    "service": "services",
}
_BY_PRESENCE = ("service",)  # an empty one is one, too


def refuse_unsupported(spec: dict[str, Any]) -> None:
    """Raise Unimplemented for the first part of an effective spec that can't be run here."""
    if spec.get("s3_out"):
        raise Unimplemented(f"s3_out {NO_GATEWAY}", hint="write to /pfs/out instead")
    for field, name in REFUSED.items():
        if spec.get(field) or (field in _BY_PRESENCE and spec.get(field) is not None):
            _refuse(name)
    if spec.get("spout") is not None and spec.get("input"):
        _refuse("a spout with an input")
    if ((spec.get("spout") or {}).get("service") or {}).get("internal_port"):
        _refuse("spout.service")


def _refuse(name: str) -> None:
    raise Unimplemented(f"{name} is not implemented by pachlet", hint="docs/coverage.md lists what is")
