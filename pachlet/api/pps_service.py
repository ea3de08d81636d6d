"""pps_v2.API: its parts together.

Read next: pipeline_service.py, job_list_service.py, job_service.py, datum_service.py, log_service.py,
secret_service.py.
"""

from __future__ import annotations

from pachlet.api.cron_service import CronService
from pachlet.api.datum_service import DatumService
from pachlet.api.defaults_service import DefaultsService
from pachlet.api.job_list_service import JobListService
from pachlet.api.job_service import JobService
from pachlet.api.log_service import LogService
from pachlet.api.open_transactions import OpenTransactions
from pachlet.api.pipeline_service import PipelineService
from pachlet.api.secret_service import SecretService
from pachlet.api.server_log import ServerLog
from pachlet.api.status_service import StatusService
from pachlet.api.template_service import TemplateService
from pachlet.clock import Clock
from pachlet.pps.engine import Engine
from pachlet.pps.ticking import Ticking


class PpsService(
    PipelineService,
    JobListService,
    JobService,
    DatumService,
    LogService,
    SecretService,
    DefaultsService,
    TemplateService,
    StatusService,
    CronService,
):
    """Answers pps_v2.API."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        open_transactions: OpenTransactions,
        ticking: Ticking,
        server_log: ServerLog,
    ) -> None:
        super().__init__(engine, clock, open_transactions)
        self.ticking = ticking
        self.server_log = server_log
