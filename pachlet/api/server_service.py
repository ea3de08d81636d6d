"""Answer what a server says of itself that Pachyderm's version has no place for.

Read next: ../worker/choosing.py (how steps run).
"""

from __future__ import annotations

from typing import Any

from pachlet.api import messages
from pachlet.api.handlers import Context
from pachlet.worker.interface import Runner


class ServerService:
    """Answers pachlet.v1.Server."""

    def __init__(self, runner: Runner, workers: int) -> None:
        self._runner = runner
        self._workers = workers

    def Describe(self, request: Any, context: Context) -> Any:
        return messages.make(
            "pachlet.v1.Description",
            runner=self._runner.description,
            limits=dict(self._runner.means()),
            workers=self._workers,
        )
