"""The graph that is drawn: what feeds what, and how each pipeline is.

Read next: layers.py; ../verbs/draw_pipeline.py, which makes it of what a server says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Key = tuple[str, str]
"""Project and name."""

Mood = Literal["good", "busy", "bad", "still", ""]


@dataclass(frozen=True)
class Node:
    """A repo or a pipeline."""

    key: Key
    name: str
    state: str = ""
    """A word for how a pipeline is; a repo has none."""
    about: str = ""
    """A sentence, shown where there is room for it."""

    @property
    def is_pipeline(self) -> bool:
        return bool(self.state)

    @property
    def mood(self) -> Mood:
        """What the state means, for whoever only glances at it."""
        return _MOODS.get(self.state, "")


_MOODS: Mapping[str, Mood] = {
    **dict.fromkeys(("success",), "good"),
    **dict.fromkeys(("created", "starting", "running", "finishing", "egressing", "restarting"), "busy"),
    **dict.fromkeys(("failure", "killed", "unrunnable", "crashing"), "bad"),
    **dict.fromkeys(("paused", "standby"), "still"),
}


@dataclass(frozen=True)
class Graph:
    """Nodes, and which of them feeds which."""

    nodes: Mapping[Key, Node]
    edges: Sequence[tuple[Key, Key]]
