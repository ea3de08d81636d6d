"""Say once what is so of many pipelines.

Read next: create_pipeline.py, apply.py, pipeline.py (who uses it).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pachlet.cli.session import Session

if TYPE_CHECKING:
    from pachlet.client.connection import Connection

_NAMED = 3
"""So many pipelines are named."""


def grouped(said: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield each text once, with the pipelines (name, text) that it is said of, in the order of the first."""
    names: dict[str, list[str]] = {}
    for name, text in said:
        if name not in names.setdefault(text, []):
            names[text].append(name)
    for text, each in names.items():
        yield ", ".join(each) if len(each) <= _NAMED else f"{len(each)} pipelines", text


class Warnings:
    """What a server warns of while specs are sent one after the other."""

    def __init__(self) -> None:
        self._pipeline = ""
        self.said: list[tuple[str, str]] = []

    def sending(self, pipeline: str) -> None:
        """Hear whose spec is sent next."""
        self._pipeline = pipeline

    def take(self, text: str) -> None:
        """Keep a warning of the pipeline at hand."""
        self.said.append((self._pipeline, text))


@contextmanager
def warnings_at_the_end(session: Session, to: Connection | None = None) -> Iterator[Warnings]:
    """Keep warnings until all is sent, or something failed, and say each once, with the pipelines it is about.

    They are those of calls to the session's server, or `to` another.
    """
    connection = to or session.connection
    taken, before = Warnings(), connection.on_warning
    connection.on_warning = taken.take
    try:
        yield taken
    finally:
        connection.on_warning = before
        for names, text in grouped(taken.said):
            is_named = text.startswith(f"pipeline {names} ")
            about = (
                names if names.endswith(" pipelines") else f"pipeline{'s' if ', ' in names else ''} {names}"
            )
            session.say(f"warning: {text}" if is_named else f"warning: {text} ({about})")
