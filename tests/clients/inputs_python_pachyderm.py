"""Pipelines of every kind of input on python-pachyderm 7.6.0, unmodified; runs in that client's own environment.

Prints what it saw as JSON; test_input_clients.py holds it against what a Pachyderm answers.
"""

import json
import sys

import python_pachyderm
from python_pachyderm.proto.v2.pfs import pfs_pb2
from python_pachyderm.service import pps_proto

host, port = sys.argv[1].split(":")
client = python_pachyderm.Client(host=host, port=int(port))
seen = {}

for name, files in {"a": ["1_x", "1_y", "2_x"], "b": ["1", "3"], "model": ["w"]}.items():
    client.create_repo(name)
    with client.commit(name, "master") as commit:
        for file in files:
            client.put_file_bytes(commit, f"/{file}", f"{name}{file}\n".encode())


def leaf(repo, glob="/*", **more):
    return pps_proto.Input(pfs=pps_proto.PFSInput(repo=repo, glob=glob, **more))


kinds = {
    "one": leaf("a"),
    "whole": leaf("a", "/"),
    "crossed": pps_proto.Input(cross=[leaf("a"), leaf("b")]),
    "united": pps_proto.Input(union=[leaf("a"), leaf("b")]),
    "joined": pps_proto.Input(join=[leaf("a", "/(*)_*", join_on="$1"), leaf("b", "/(*)", join_on="$1")]),
    "outer": pps_proto.Input(
        join=[leaf("a", "/(*)_*", join_on="$1"), leaf("b", "/(*)", join_on="$1", outer_join=True)]
    ),
    "grouped": pps_proto.Input(group=[leaf("a", "/(*)_*", group_by="$1"), leaf("b", "/(*)", group_by="$1")]),
    "nested": pps_proto.Input(cross=[leaf("b"), pps_proto.Input(union=[leaf("a", "/1*"), leaf("a", "/2*")])]),
    "names_only": leaf("a", empty_files=True),
    "lazy": leaf("a", lazy=True),
    "triggered": leaf("a", trigger=pfs_pb2.Trigger(commits=1)),
    "ticking": pps_proto.Input(cron=pps_proto.CronInput(name="tick", spec="@never")),
}
for name, input in kinds.items():
    client.create_pipeline(
        name,
        transform=pps_proto.Transform(
            image="alpine",
            cmd=["sh"],
            stdin=["cat $(find /pfs ! -type d ! -path '/pfs/out/*' ! -name .env) >/pfs/out/$PACH_DATUM_ID"],
        ),
        input=input,
    )
client.run_cron("ticking")

for name in kinds:
    newest = next(iter(client.list_job(name))).job
    (job,) = client.inspect_job(newest.id, name, wait=True)
    texts = [
        " ".join(sorted(client.get_file((name, "master"), info.file.path).read().decode().split()))
        for info in client.list_file((name, "master"), "/")
    ]
    datums = list(client.list_datum(name, newest.id))
    state = pps_proto.JobState.Name(job.state) if hasattr(pps_proto.JobState, "Name") else job.state
    seen[name] = [state, job.data_processed, len(datums), sorted(texts)]
listed = client.list_datum(input=kinds["joined"])
seen["planned"] = sorted(" ".join(sorted(each.file.path for each in info.data)) for info in listed)
print(json.dumps(seen))
