"""Draw a graph as a tree of lines; what was drawn before is only named again.

Read next: graph.py.
"""

from __future__ import annotations

from collections.abc import Iterator

from pachlet.client import ran
from pachlet.client.lineage.graph import Commit, File, Graph, Run

_SHORT = 12


def tree(graph: Graph) -> Iterator[str]:
    """Yield the lines of a drawing."""
    yield from _Drawing(graph).file(graph.root, "", "")
    if graph.is_cut:
        yield "... and further: this is not all, it is too large to be told at once"


class _Drawing:
    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._drawn: set[tuple[str, str, str]] = set()
        self._files_drawn: set[str] = set()

    def file(self, file: File, first: str, rest: str) -> Iterator[str]:
        runs = self._graph.runs_of(file)
        # Going down, many ways may lead to one file; going up each is short, as its run is only named again.
        if self._graph.is_down and runs and str(file) in self._files_drawn:
            yield f"{first}{file} (as above)"
            return
        self._files_drawn.add(str(file))
        yield f"{first}{file}{self._about(file)}"
        held = [f"{path} ({self._put(self._graph.put_in(file, at))})" for at, path in enumerate(file.holds)]
        leaves = [*held, *_left_out(file)]
        for index, run in enumerate(runs):
            last = index == len(runs) - 1 and not leaves
            yield from self._run(run, rest + ("└─ " if last else "├─ "), rest + ("   " if last else "│  "))
        for index, leaf in enumerate(leaves):
            yield f"{rest}{'└─ ' if index == len(leaves) - 1 else '├─ '}{leaf}"

    def _about(self, file: File) -> str:
        if file.is_gone:
            return " (deleted since)"
        purged = f" (purged: {file.purged})" if file.purged else ""
        if self._graph.is_down or file.runs or not file.hash:
            return purged
        # What users put has no code to tell it by: its hash is its identity. Of a folder each file says who put it.
        told = "" if file.holds else f"{self._put(self._graph.put_in(file))}, "
        return f" ({told}hash {file.hash[:_SHORT]}){purged}"

    def _put(self, commit: Commit) -> str:
        source = commit.metadata.get("source", "")
        told = [f"put by {commit.author or 'a user'}" + (f" from {source}" if source else "")]
        told += [f'"{commit.message}"'] if commit.message else []
        return ", ".join(told)

    def _run(self, run: Run, first: str, rest: str) -> Iterator[str]:
        key = (run.pipeline, run.job, run.datum)
        version = f" version {run.version}" if run.version else ""
        head = f"{first}datum {run.datum[:_SHORT]} of {run.project}/{run.pipeline}{version}"
        if key in self._drawn:
            yield f"{head} (as above)"
            return
        self._drawn.add(key)
        yield head
        files = self._graph.files_of(run)
        more = [f"and {run.not_shown} more files"] if run.not_shown else []
        bar = "│  " if files else "   "
        for name, value in self._facts(run):
            yield f"{rest}{bar}{name:<5} {value}"
        for index, file in enumerate(files):
            last = index == len(files) - 1 and not more
            yield from self.file(file, rest + ("└─ " if last else "├─ "), rest + ("   " if last else "│  "))
        for leaf in more:
            yield f"{rest}└─ {leaf}"

    def _facts(self, run: Run) -> Iterator[tuple[str, str]]:
        yield "job", run.job
        if run.started:
            yield "when", run.started + (f", {run.seconds:.3f} s" if run.seconds else "")
        if why := self._why(run):
            yield "why", why
        if run.spec_commit:
            yield "spec", f"{run.project}/{run.pipeline}.spec@{run.spec_commit}"
        yield "code", run.code
        if seeds := run.facts.get("seeds"):
            yield "seeds", " ".join(f"{name}={value}" for name, value in seeds.items())
        if machine := ran.machine(run.facts):
            yield "on", machine

    def _why(self, run: Run) -> str:
        """Return what set off a run's job, who did that and what they said of it."""
        trigger = self._graph.job_of(run).metadata.get("trigger", "")
        behind = self._graph.set_off_by(run)
        authors = dict.fromkeys(commit.author for _, commit in behind if commit.author)
        words = dict.fromkeys(f'"{commit.message}"' for _, commit in behind if commit.message)
        parts = [trigger, f"by {', '.join(authors)}" if authors else "", ", ".join(words)]
        return " ".join(part for part in parts if part) if trigger else ""


def _left_out(file: File) -> Iterator[str]:
    if file.not_shown:
        yield f"and {file.not_shown} more {'datums' if file.runs else 'files'}"
    elif file.has_more:
        yield "and more datums (--limit 0 shows all)"
