"""The part of pps_v2.API that says how pipelines are, many at once, and what a cluster has and one process has not.

Read next: pipeline_messages.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from pachlet.api import messages
from pachlet.api.handlers import Context
from pachlet.api.lacking import ALL, lacking
from pachlet.api.names import NANOS, nanoseconds
from pachlet.api.pickers import pick_project
from pachlet.api.pipeline_messages import pipeline_infos
from pachlet.api.pps_part import PpsPart
from pachlet.errors import Unimplemented
from pachlet.pps import pipelines
from pachlet.wire import schema

_FAILED = ("PIPELINE_FAILURE", "PIPELINE_CRASHING")
_UNHEALTHY = ("JOB_KILLED", "JOB_FAILURE", "JOB_UNRUNNABLE")


class StatusService(PpsPart):
    """Answers the RPCs of pps_v2.API about pipelines as a whole."""

    def CheckStatus(self, request: Any, context: Context) -> Iterator[Any]:
        wanted = request.project.name
        for info in self._infos():
            alerts = self._alerts(info)
            if alerts and wanted in ("", info.pipeline.project.name):
                yield messages.make(
                    "pps_v2.CheckStatusResponse",
                    project=info.pipeline.project,
                    pipeline=info.pipeline,
                    alerts=alerts,
                )

    def _infos(self) -> list[Any]:
        with self.engine.database.read() as db:
            return list(pipeline_infos(db, pipelines.list_pipelines(db)))

    def _alerts(self, info: Any) -> list[str]:
        """Return what is to be said of a pipeline that works longer than its maximum_expected_uptime."""
        details = info.details
        if not details.HasField("maximum_expected_uptime") or not details.HasField("workers_started_at"):
            return []
        started = nanoseconds(details.workers_started_at)
        over = self.clock.now() - started - nanoseconds(details.maximum_expected_uptime)
        if over <= 0:
            return []
        name = f"{info.pipeline.project.name}/{info.pipeline.name}"
        since = datetime.fromtimestamp(started // NANOS, UTC).isoformat(sep=" ")
        return [
            f"{name}: Started running at {since}, exceeded maximum uptime by {timedelta(seconds=over // NANOS)}"
        ]

    def PipelinesSummary(self, request: Any, context: Context) -> Any:
        with self.engine.database.read() as db:
            rows = [pick_project(db, each) for each in request.projects] or db.all("list_projects")
        counts: dict[str, Counter[str]] = {}
        for info in self._infos():
            count = counts.setdefault(info.pipeline.project.name, Counter())
            state = schema.enum_name("pps_v2.PipelineState", info.state)
            kind = "failed" if state in _FAILED else "paused" if state == "PIPELINE_PAUSED" else "active"
            count[f"{kind}_pipelines"] += 1
            if schema.enum_name("pps_v2.JobState", info.last_job_state) in _UNHEALTHY:
                count["unhealthy_pipelines"] += 1
        names = [row["name"] for row in rows if row["name"] in counts]
        return messages.make(
            "pps_v2.PipelinesSummaryResponse",
            summaries=[
                messages.make("pps_v2.PipelinesSummary", project=messages.project(name), **counts[name])
                for name in names
            ],
        )

    def ListTask(self, request: Any, context: Context) -> Iterator[Any]:
        # Tasks are work that one server of several does for another; here is only one.
        return iter(())

    @lacking(ALL)
    def RunPipeline(self, request: Any, context: Context) -> Any:
        raise Unimplemented("unimplemented", hint="rerun the pipeline, put a commit, or `pachctl run cron`")
