"""pachlet: versioned data and pipelines with provenance, on one machine, behind Pachyderm's gRPC API.

The rooms, from the ground up (imports point down only; `tests/house` holds them to it):

- ground floor: errors, ids, paths, clock, config
- spec, storage, metadb, wire: parse specs; keep bytes; keep rows; the messages of the API
- pfs: projects, repos, branches, commits, files
- worker: run one step in a sandbox; pps: pipelines, datums, jobs
- api: one module per gRPC service; server: puts the rooms together
- client, cli: speak gRPC only, to this server or to any Pachyderm

Read next: docs/start-here.md.
"""

__version__ = "0.1.0"
