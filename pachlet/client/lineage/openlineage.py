"""Tell a graph as events of OpenLineage (https://openlineage.io), which data catalogues read.

Each run is a START and an end, with what it read and wrote, what was upstream first. OpenLineage has no facet for which
code ran by content, so ours are `pachlet_code` (of a run) and `pachlet_file` (of a dataset); what they hold is in
docs/provenance.md.

Read next: graph.py.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from pachlet import __version__
from pachlet.client.lineage.graph import File, Graph, Run

PRODUCER = f"https://pypi.org/project/pachlet/{__version__}"
_SPEC = "https://openlineage.io/spec"
_EVENT = f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"
_OURS = f"{PRODUCER}#/facets"
_NEVER = "1970-01-01T00:00:00Z"


def events(graph: Graph, address: str) -> Iterator[dict[str, Any]]:
    """Yield the events; `address` is the server's, in whose namespace all names are."""
    at: list[list[File]] = [[] for _ in graph.runs]
    for file in graph.files:
        for place in file.runs:
            at[place].append(file)
    places = range(len(graph.runs))
    for place in places if graph.is_down else reversed(places):
        run = graph.runs[place]
        read, wrote = graph.files_of(run), at[place]
        if graph.is_down:
            read, wrote = wrote, read
        yield from _events_of(graph, run, read, wrote, f"pachyderm://{address}")


def _events_of(
    graph: Graph, run: Run, read: Sequence[File], wrote: Sequence[File], namespace: str
) -> Iterator[dict[str, Any]]:
    whole = {
        "producer": PRODUCER,
        "schemaURL": _EVENT,
        "run": {"runId": run_id(run), "facets": _run_facets(graph, run)},
        "job": {
            "namespace": namespace,
            "name": f"{run.project}/{run.pipeline}",
            "facets": {
                "jobType": _facet(
                    "facets/2-0-3/JobTypeJobFacet.json#/$defs/JobTypeJobFacet",
                    processingType="BATCH",
                    integration="PACHLET",
                    jobType="DATUM",
                )
            },
        },
        "inputs": [_dataset(graph, each, namespace) for each in read],
    }
    started, ended = run.started or _NEVER, run.finished or run.started or _NEVER
    end = "FAIL" if run.state == "failed" else "COMPLETE"
    yield {"eventType": "START", "eventTime": started, **whole, "outputs": []}
    outputs = [_dataset(graph, each, namespace) for each in wrote]
    yield {"eventType": end, "eventTime": ended, **whole, "outputs": outputs}


def run_id(run: Run) -> str:
    """Return the UUID of a run: the same whenever it is told."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{run.project}/{run.pipeline}@{run.job}/{run.datum}"))


def _run_facets(graph: Graph, run: Run) -> dict[str, Any]:
    facts = run.facts
    told = {
        "job": run.job,
        "datum": run.datum,
        "version": run.version,
        "specCommit": run.spec_commit,
        "image": run.image,
        "digest": run.digest,
        "command": list(run.cmd),
        "gitCommit": facts.get("git_commit") or "",
        "dirty": bool(facts.get("dirty")),
        "python": facts.get("python_version", ""),
        "packages": facts.get("packages", ""),
        "seeds": facts.get("seeds", {}),
        "machine": facts.get("machine", {}),
        "trigger": graph.job_of(run).metadata.get("trigger", ""),
    }
    return {"pachlet_code": {"_producer": PRODUCER, "_schemaURL": f"{_OURS}/code", **told}}


def _dataset(graph: Graph, file: File, namespace: str) -> dict[str, Any]:
    commit = graph.put_in(file)
    facets: dict[str, Any] = {
        "version": _facet(
            "facets/1-0-1/DatasetVersionDatasetFacet.json#/$defs/DatasetVersionDatasetFacet",
            datasetVersion=file.commit,
        ),
        "pachlet_file": {
            "_producer": PRODUCER,
            "_schemaURL": f"{_OURS}/file",
            "hash": file.hash,
            "sizeBytes": file.size_bytes,
            "source": commit.metadata.get("source", ""),
            "deleted": file.is_gone,
        },
    }
    if commit.author:
        facets["ownership"] = _facet(
            "facets/1-0-1/OwnershipDatasetFacet.json#/$defs/OwnershipDatasetFacet",
            owners=[{"name": commit.author, "type": "AUTHOR"}],
        )
    if commit.message:
        facets["documentation"] = _facet(
            "facets/1-1-0/DocumentationDatasetFacet.json#/$defs/DocumentationDatasetFacet",
            description=commit.message,
        )
    return {"namespace": namespace, "name": f"{file.project}/{file.repo}:{file.path}", "facets": facets}


def _facet(schema: str, **fields: Any) -> dict[str, Any]:
    return {"_producer": PRODUCER, "_schemaURL": f"{_SPEC}/{schema}", **fields}
