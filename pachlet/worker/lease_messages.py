"""Leases and results as messages of pachlet.v1.Work, both ways.

Read next: head.py (what they mean), wire/proto/pachlet/v1/work.proto.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pachlet.wire import schema
from pachlet.worker.head import Lease, Result, Task, Work
from pachlet.worker.interface import Image, Limits, Secrets, Transform


def lease_message(lease: Lease) -> Any:
    """Return a lease as a message."""
    return _make(
        "Lease",
        token=lease.token,
        seconds=lease.seconds,
        job=_job_message(lease.work),
        tasks=[_make("Task", id=each.id, environ=each.environ) for each in lease.tasks],
    )


def read_lease(message: Any) -> Lease:
    """Return the lease that a message holds."""
    tasks = [Task(each.id, dict(each.environ)) for each in message.tasks]
    return Lease(message.token, _read_job(message.job), tasks, message.seconds)


def ending_message(token: str, datum: str, result: Result) -> Any:
    """Return how a datum ended as a message."""
    return _make(
        "Ending",
        token=token,
        datum=datum,
        state=result.state,
        reason=result.reason,
        tries=result.tries,
        provenance_json=json.dumps(result.provenance),
        seconds=result.seconds,
        download_bytes=result.download_bytes,
        peak_memory=result.peak_memory,
        has_not_begun=not result.has_begun,
    )


def read_ending(message: Any) -> Result:
    """Return how a datum ended; ValueError if the message makes no sense."""
    if message.state not in ("success", "failed", "recovered"):
        raise ValueError(f"a datum does not end as {message.state!r}")
    provenance = json.loads(message.provenance_json)
    if not isinstance(provenance, dict):
        raise ValueError("the provenance is no object")
    return Result(
        state=message.state,
        reason=message.reason,
        tries=message.tries,
        provenance=provenance,
        seconds={each: message.seconds.get(each, 0.0) for each in ("download", "process", "upload")},
        download_bytes=message.download_bytes,
        peak_memory=_optional(message, "peak_memory"),
        has_begun=not message.has_not_begun,
    )


def _job_message(work: Work) -> Any:
    return _make(
        "Job",
        id=work.job,
        project=work.project,
        pipeline=work.pipeline,
        version=work.version,
        image=_make(
            "Image",
            reference=work.image.reference,
            digest=work.image.digest,
            kind=work.image.kind,
            provenance_json=json.dumps(work.image.provenance),
            warning=work.image.warning,
        ),
        transform=_transform_message(work.transform),
        environ=work.environ,
        tries=work.tries,
        timeout_seconds=work.timeout,
        stays_warm=work.stays_warm,
        network=work.network,
    )


def _read_job(message: Any) -> Work:
    image = message.image
    return Work(
        job=message.id,
        project=message.project,
        pipeline=message.pipeline,
        version=message.version,
        image=Image(
            image.reference, image.digest, image.kind, json.loads(image.provenance_json), image.warning
        ),
        transform=_read_transform(message.transform),
        environ=dict(message.environ),
        tries=message.tries,
        timeout=_optional(message, "timeout_seconds"),
        stays_warm=message.stays_warm,
        network=message.network,
    )


def _transform_message(transform: Transform) -> Any:
    limits = transform.limits
    return _make(
        "Transform",
        image=transform.image,
        cmd=transform.cmd,
        stdin=_joined(transform.stdin),
        err_cmd=transform.err_cmd,
        err_stdin=_joined(transform.err_stdin),
        env=transform.env,
        accept_return_code=transform.accept_return_code,
        working_dir=transform.working_dir,
        user=transform.user,
        datum_batching=transform.datum_batching,
        memory_volume=transform.memory_volume,
        debug=transform.debug,
        limits=_make(
            "Limits", memory=limits.memory, cpu=limits.cpu, disk=limits.disk, processes=limits.processes
        ),
        secret_environ=transform.secrets.environ,
        secret_files=transform.secrets.files,
    )


def _read_transform(message: Any) -> Transform:
    limits = message.limits
    return Transform(
        image=message.image,
        cmd=tuple(message.cmd),
        stdin=_split(message, "stdin"),
        err_cmd=tuple(message.err_cmd),
        err_stdin=_split(message, "err_stdin"),
        env=dict(message.env),
        accept_return_code=tuple(message.accept_return_code),
        working_dir=message.working_dir,
        user=message.user,
        datum_batching=message.datum_batching,
        memory_volume=message.memory_volume,
        debug=message.debug,
        limits=Limits(
            memory=_optional(limits, "memory"),
            cpu=_optional(limits, "cpu"),
            disk=_optional(limits, "disk"),
            processes=limits.processes,
        ),
        secrets=Secrets(dict(message.secret_environ), dict(message.secret_files)),
    )


def _joined(lines: Sequence[str] | None) -> str | None:
    return None if lines is None else "\n".join(lines)


def _split(message: Any, name: str) -> tuple[str, ...] | None:
    text = _optional(message, name)
    return None if text is None else tuple(text.split("\n"))


def _optional(message: Any, name: str) -> Any:
    return getattr(message, name) if message.HasField(name) else None


def _make(name: str, **fields: Any) -> Any:
    return schema.message(f"pachlet.v1.{name}")(**fields)
