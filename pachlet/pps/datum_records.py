"""Make the records of settled datums, and store them with what the datums wrote, many at a time.

A record answers later what ran on what: image and code digest, command, input files with their commits and hashes,
times. It goes to the database and, as Pachyderm does, to the meta repo. Each datum has a record of its own that is
whole; but most of its text is that of the job, and is made once for all its datums.

What a worker of this process settled that is small comes as bytes, and the chunks of all of it are hashed, looked for
and written together: one at a time they cost more than many a step.

Read next: recording.py (who writes them down).
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from pachlet.clock import in_words
from pachlet.pps.datum import DatumFile
from pachlet.pps.datum_folder import Found
from pachlet.pps.leases import Offer, SharedFacts
from pachlet.pps.planning import PlannedDatum
from pachlet.pps.skipping import code_of
from pachlet.storage.chunks import ChunkWriter
from pachlet.storage.content import ONE_CHUNK, Content, write_content, write_together
from pachlet.worker.head import Result


@dataclass(eq=False)
class Settled:
    """A datum that was settled under a live lease, and is to be recorded."""

    offer: Offer
    planned: PlannedDatum
    result: Result
    inputs: list[Found]
    outputs: Sequence[tuple[str, Content | bytes]]
    """What it wrote: stored already, or small and still to be stored."""
    upload_seconds: float
    writer: ChunkWriter | None
    """Keeps the garbage collector off what is stored already; None if nothing is."""
    started: int
    """When its first attempt was begun, by the engine's clock; of a datum that changed hands, under the last lease."""
    finished: int
    """When it was settled."""
    is_awaited: bool = False
    """Whether a worker waits until it is recorded."""
    recorded: Future[None] = field(default_factory=Future)


@dataclass(frozen=True)
class Record:
    """A settled datum, of which everything is stored."""

    settled: Settled
    code: str
    """What decides results besides the files."""
    text: str
    outputs: list[tuple[str, Content]]
    meta: list[tuple[str, Content]]
    """What is kept of it in its folder of the meta repo, by name."""
    stats: Mapping[str, int]
    """What the job's row sums up, times in nanoseconds."""


def make_records(writer: ChunkWriter, some: Sequence[Settled]) -> list[Record]:
    """Store what datums wrote and the records of them; `writer` leans on what they refer to.

    Raises:
        Unavailable: an input is gone, or the disk is full.
        Purged: bytes that a step wrote were purged.
    """
    began = time.monotonic()
    outputs = _store_outputs(writer, some)
    writer.lean_on(
        digest
        for each in some
        for found in each.inputs
        for entry in found.entries
        for digest, _ in entry.content.chunks
    )
    seconds = (time.monotonic() - began) / len(some)
    shared = [shared_facts(each.offer, each.result.provenance) for each in some]
    stats = [_stats(each, written, seconds) for each, written in zip(some, outputs, strict=True)]
    texts = [_text(*each) for each in zip(some, shared, stats, strict=True)]
    meta = _store_records(writer, texts)
    lists = {facts.packages for facts in shared if facts.packages}
    packages = {each: [("packages", write_content(writer, [each]))] for each in lists}
    return [
        Record(each, facts.code, text, written, [("meta", record), *packages.get(facts.packages, ())], sums)
        for each, facts, text, written, record, sums in zip(
            some, shared, texts, outputs, meta, stats, strict=True
        )
    ]


def _store_outputs(writer: ChunkWriter, some: Sequence[Settled]) -> list[list[tuple[str, Content]]]:
    pieces = [data for each in some for _, data in each.outputs if isinstance(data, bytes)]
    stored = iter(write_together(writer, pieces) if pieces else ())
    return [
        [(path, next(stored) if isinstance(data, bytes) else data) for path, data in each.outputs]
        for each in some
    ]


def _store_records(writer: ChunkWriter, texts: Iterable[str]) -> list[Content]:
    encoded = [text.encode() for text in texts]
    small = [data for data in encoded if len(data) <= ONE_CHUNK]
    stored = iter(write_together(writer, small, are_new=True))
    return [next(stored) if len(data) <= ONE_CHUNK else write_content(writer, [data]) for data in encoded]


def shared_facts(offer: Offer, provenance: Mapping[str, Any]) -> SharedFacts:
    """Return what is put into words once for all datums with this provenance; known again by its being the same."""
    for each in offer.shared:
        if each.provenance is provenance:
            return each
    found = _share(offer, provenance)
    offer.shared.append(found)
    return found


def _share(offer: Offer, provenance: Mapping[str, Any]) -> SharedFacts:
    pipeline, image = offer.pipeline, offer.work.image
    facts = dict(provenance)
    packages = b""
    if isinstance(facts.get("packages"), list):
        packages = "".join(f"{each}\n" for each in facts["packages"]).encode()
        facts["packages"] = f"sha256:{hashlib.sha256(packages).hexdigest()}"
    # The digest of the image that the worker says it ran: a tag may have moved since the job was planned.
    digest = str(provenance.get("digest") or image.digest)
    code = code_of(digest, pipeline.spec["transform"])
    first = {
        "job": offer.job.id,
        "pipeline": {"project": pipeline.project, "name": pipeline.name},
        "version": pipeline.version,
        "spec_commit": pipeline.spec_commit,
    }
    second = {
        "image": {
            "reference": image.reference,
            "digest": digest,
            "kind": image.kind,
            "provenance": facts,
        },
        "code": code,
        "cmd": list(pipeline.spec["transform"].get("cmd", [])),
    }
    return SharedFacts(provenance, code, json.dumps(first)[1:-1], json.dumps(second)[1:-1], packages)


def _stats(settled: Settled, outputs: Sequence[tuple[str, Content]], seconds: float) -> dict[str, int]:
    taken = settled.result.seconds
    return {
        "download_time": int(taken["download"] * 1e9),
        "process_time": int(taken["process"] * 1e9),
        "upload_time": int((settled.upload_seconds + seconds) * 1e9),
        "download_bytes": settled.result.download_bytes,
        "upload_bytes": sum(content.size for _, content in outputs),
    }


def _text(settled: Settled, shared: SharedFacts, stats: Mapping[str, int]) -> str:
    """Return a record as JSON: what is the datum's own around what it shares with others."""
    planned, result = settled.planned, settled.result
    own = {
        "hash": planned.hash,
        "index": planned.position,
        "state": result.state,
        "reason": result.reason,
        "tries": result.tries,
        "started": in_words(settled.started),
        "finished": in_words(settled.finished),
        **({} if result.has_begun else {"has_begun": False}),
    }
    last = {
        "inputs": [_input(settled.offer, file) for file in planned.datum.files],
        "stats": {
            **{f"{each}_seconds": stats[f"{each}_time"] / 1e9 for each in ("download", "process", "upload")},
            "download_bytes": stats["download_bytes"],
            "upload_bytes": stats["upload_bytes"],
            "peak_memory": result.peak_memory,
        },
    }
    parts = (f'"datum": "{planned.datum.id}"', shared.job, json.dumps(own)[1:-1], shared.image)
    return f"{{{', '.join(parts)}, {json.dumps(last)[1:]}"


def _input(offer: Offer, file: DatumFile) -> dict[str, Any]:
    repo = file.repo
    return {
        "name": file.name,
        "project": repo.project,
        "repo": repo.name,
        "type": repo.type,
        "branch": file.branch,
        "commit": offer.inputs.commit_id(repo),
        "path": file.path,
        "hash": file.hash.hex(),
        "size": file.size,
    }
