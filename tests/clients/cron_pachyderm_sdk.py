"""Cron inputs with pachyderm-sdk 2.12.2, unmodified; runs in that client's own environment.

Prints what it saw as JSON; test_cron_clients.py holds it against what a Pachyderm answers.
"""

import json
import sys
from datetime import datetime, timezone

from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs, pps

host, port = sys.argv[1].split(":")
client = Client(host=host, port=int(port))
seen = {}


def named(name):
    return pps.Pipeline(name=name, project=pfs.Project(name="default"))


client.pps.create_pipeline(
    pipeline=named("report"),
    transform=pps.Transform(image="alpine", cmd=["sh"], stdin=["basename $tick > /pfs/out/at"]),
    input=pps.Input(
        cron=pps.CronInput(
            name="tick",
            spec="0 0 1 3 *",
            overwrite=True,
            start=datetime(2024, 3, 1, 10, 30, tzinfo=timezone.utc),  # noqa: UP017 - this client's own Python
        )
    ),
)
cron = client.pps.inspect_pipeline(pipeline=named("report"), details=True).details.input.cron
seen["cron"] = [cron.name, cron.repo, cron.spec, cron.overwrite, cron.start.strftime("%Y-%m-%dT%H:%M:%SZ")]
client.pps.run_cron(pipeline=named("report"))
head = client.pfs.inspect_branch(branch=pfs.Branch.from_uri("report_tick@master")).head.id
list(client.pfs.inspect_commit_set(commit_set=pfs.CommitSet(id=head), wait=True))
files = client.pfs.list_file(file=pfs.File.from_uri("report_tick@master:/"))
seen["ticks"] = [info.file.path for info in files]
with client.pfs.pfs_file(file=pfs.File.from_uri("report@master:/at")) as file:
    seen["output"] = file.read().decode().strip()
seen["last"] = client.pps.inspect_job(job=pps.Job(pipeline=named("report"), id=head)).data_processed

client.pfs.create_repo(repo=pfs.Repo(name="plain", type="user"))
client.pps.create_pipeline(
    pipeline=named("copy"),
    transform=pps.Transform(image="alpine", cmd=["true"]),
    input=pps.Input(pfs=pps.PfsInput(repo="plain", glob="/*")),
)
try:
    client.pps.run_cron(pipeline=named("copy"))
except Exception as error:
    seen["plain"] = getattr(error, "message", "") or str(error)
client.pps.delete_pipeline(pipeline=named("report"))
seen["left"] = sorted(info.repo.name for info in client.pfs.list_repo(type="user"))
print(json.dumps(seen))
