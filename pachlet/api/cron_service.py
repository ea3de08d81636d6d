"""RunCron of pps_v2.API: a tick that somebody asks for.

Read next: pachlet/pps/ticking.py.
"""

from __future__ import annotations

from typing import Any

from pachlet.api import messages
from pachlet.api.callers import mark_of
from pachlet.api.handlers import Context
from pachlet.api.names import pipeline_name
from pachlet.pps.ticking import Ticking


class CronService:
    """Answers RunCron."""

    ticking: Ticking

    def RunCron(self, request: Any, context: Context) -> Any:
        name = pipeline_name(request.pipeline)
        self.ticking.tick_now(name.project, name.name, mark_of(context))
        return messages.empty()
