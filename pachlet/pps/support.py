"""Say by name what a spec asks for and this engine does not do.

A field that changes what a pipeline computes is refused; one that only steers Kubernetes (tolerations, pod patches,
requests) is stored and returned, and makes no difference here.

Read next: pipelines.py (who asks).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pachlet.errors import InvalidArgument, Refused, Unimplemented
from pachlet.pps.answering import check_annotations
from pachlet.pps.egress_spec import check_egress
from pachlet.pps.inputs import NO_GATEWAY
from pachlet.worker.interface import SERVER_PORT


def refuse_unsupported(spec: dict[str, Any]) -> None:
    """Raise Unimplemented for the first part of an effective spec that can't be run here."""
    if spec.get("s3_out"):
        raise Unimplemented(f"s3_out {NO_GATEWAY}", hint="write to /pfs/out instead")
    if spec.get("spout") is not None and spec.get("input"):
        _refuse("a spout with an input")
    service = spec.get("service")
    if service is not None and not spec.get("input"):
        raise Refused("services must have an input", hint='its files are what it serves: one datum, glob "/"')
    for each in (service, (spec.get("spout") or {}).get("service")):
        if each is not None:
            _check_ports(each, must_listen=each is service)
    check_annotations(spec)
    check_egress(spec)


def _check_ports(service: Mapping[str, Any], *, must_listen: bool) -> None:
    """Refuse ports that no service can have; that of a spout may be left out: some clients write every spout so."""
    inner, outer = (int(service.get(each) or 0) for each in ("internal_port", "external_port"))
    if not (0 if not must_listen else 1) <= inner <= 65535:
        raise InvalidArgument(
            "service.internal_port must be between 1 and 65535",
            hint="it is the port that the code listens on",
        )
    if inner == SERVER_PORT:
        raise InvalidArgument(
            f"service.internal_port can't be {SERVER_PORT}: there, the code finds the server"
        )
    if not 0 <= outer <= 65535:
        raise InvalidArgument("service.external_port must be between 1 and 65535, or left out")


def _refuse(name: str) -> None:
    raise Unimplemented(f"{name} is not implemented by pachlet", hint="docs/coverage.md lists what is")
