"""Cron inputs with python-pachyderm 7.6.0, unmodified; runs in that client's own environment.

Prints what it saw as JSON; test_cron_clients.py holds it against what a Pachyderm answers.
"""

import json
import sys

import python_pachyderm
from google.protobuf.timestamp_pb2 import Timestamp
from python_pachyderm.service import pps_proto

host, port = sys.argv[1].split(":")
client = python_pachyderm.Client(host=host, port=int(port))
seen = {}

start = Timestamp()
start.FromJsonString("2024-03-01T10:30:00Z")
client.create_pipeline(
    "report",
    transform=pps_proto.Transform(image="alpine", cmd=["sh"], stdin=["basename $tick > /pfs/out/at"]),
    input=pps_proto.Input(
        cron=pps_proto.CronInput(name="tick", spec="0 0 1 3 *", overwrite=True, start=start)
    ),
)
cron = next(iter(client.inspect_pipeline("report", details=True))).details.input.cron
seen["cron"] = [cron.name, cron.repo, cron.spec, cron.overwrite, cron.start.ToJsonString()]
client.run_cron("report")
head = client.inspect_branch("report_tick", "master").head.id
list(client.wait_commit(head))
seen["ticks"] = [info.file.path for info in client.list_file(("report_tick", "master"), "/")]
seen["output"] = client.get_file(("report", "master"), "/at").read().decode().strip()
seen["last"] = next(iter(client.list_job("report"))).data_processed

client.create_repo("plain")
client.create_pipeline(
    "copy",
    transform=pps_proto.Transform(image="alpine", cmd=["true"]),
    input=pps_proto.Input(pfs=pps_proto.PFSInput(glob="/*", repo="plain")),
)
try:
    client.run_cron("copy")
except python_pachyderm.RpcError as error:
    seen["plain"] = error.details()
client.delete_pipeline("report")
seen["left"] = sorted(info.repo.name for info in client.list_repo())
print(json.dumps(seen))
