"""Write down the specs of pipelines, each version, as files that `pachlet apply` takes.

A pipeline that is created runs at once, on whatever is there; that is for its owner to decide. So specs are
not created but written out: `PROJECT/PIPELINE.json` is the newest version, `PIPELINE.json.v1` the first of
several. What a pipeline made is not copied, it is made anew, with its provenance, when the spec is applied;
a repo of output that is named to be imported is copied as a plain repo.

Read next: ../apply.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pachlet.client.connection import Connection, Message
from pachlet.client.pipelines import ALL_VERSIONS, user_spec, with_project
from pachlet.errors import AlreadyExists, PachletError


def write_specs(source: Connection, projects: Sequence[str], folder: Path) -> list[Path]:
    """Write the specs of the projects' pipelines below a folder; return the files of the newest versions.

    A file that somebody changed is not touched: that is an error. One that holds a version of the pipeline
    is brought up to date.
    """
    versions: dict[tuple[str, str], list[Message]] = {}
    for info in _all_versions(source, projects):
        versions.setdefault((info.pipeline.project.name, info.pipeline.name), []).append(info)
    written = []
    for (project, pipeline), infos in sorted(versions.items()):
        newest = folder / project / f"{pipeline}.json"
        texts = [_text(spec_of(info)) for info in sorted(infos, key=lambda info: info.version)]
        try:
            _refuse_other(newest, texts)
            newest.parent.mkdir(parents=True, exist_ok=True)
            newest.write_text(texts[-1])
            for number, text in enumerate(texts[:-1], 1):
                newest.with_name(f"{newest.name}.v{number}").write_text(text)
        except OSError as error:
            raise PachletError(
                f"cannot write {newest}: {error.strerror}", hint="choose another folder with --specs"
            ) from None
        written.append(newest)
    return written


def spec_of(info: Message) -> dict[str, Any]:
    """Return a pipeline's spec as its user wrote it, or from a server before 2.8, what it made of that."""
    if (spec := user_spec(info)) is not None:
        return with_project(spec, info.pipeline.project.name)
    from google.protobuf import json_format

    from pachlet.wire import schema

    known = schema.message("pps_v2.CreatePipelineRequest").DESCRIPTOR.fields_by_name
    details = json_format.MessageToDict(info.details, preserving_proto_field_name=True)
    kept = {key: value for key, value in details.items() if key in known and key != "salt"}
    pipeline = {"name": info.pipeline.name, "project": {"name": info.pipeline.project.name}}
    return {"pipeline": pipeline, **kept}


def output_repos(infos: Sequence[Message]) -> set[tuple[str, str]]:
    """Return project and name of each repo that pipelines make: their output and their cron ticks."""
    found = set()
    for info in infos:
        project = info.pipeline.project.name
        found.add((project, info.pipeline.name))
        for cron in _crons(info.details.input):
            found.add((cron.project or project, cron.repo or f"{info.pipeline.name}_{cron.name}"))
    return found


def current_pipelines(source: Connection, projects: Sequence[str]) -> list[Message]:
    """Return a PipelineInfo for each pipeline of the projects."""
    return list(_list(source, projects, 0))


def _all_versions(source: Connection, projects: Sequence[str]) -> Iterator[Message]:
    yield from _list(source, projects, ALL_VERSIONS)


def _list(source: Connection, projects: Sequence[str], history: int) -> Iterator[Message]:
    named = [{"name": project} for project in projects]
    request = {"projects": named, "history": history, "details": True}
    yield from source.call("pps_v2.API", "ListPipeline", request)


def _crons(part: Message) -> Iterator[Message]:
    if part.HasField("cron"):
        yield part.cron
    for kind in (part.cross, part.union, part.join, part.group):
        for inner in kind:
            yield from _crons(inner)


def _refuse_other(path: Path, texts: Sequence[str]) -> None:
    if path.exists() and path.read_text(errors="replace") not in texts:
        raise AlreadyExists(
            f"{path} is there and is no version of that pipeline's spec",
            hint="move it away, or choose another folder with --specs",
        )


def _text(spec: dict[str, Any]) -> str:
    return json.dumps(spec, indent=2, ensure_ascii=False) + "\n"
