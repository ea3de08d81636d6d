"""Pipelines of every kind of input on pachyderm-sdk 2.12.2, unmodified; runs in that client's own environment.

Prints what it saw as JSON; test_input_clients.py holds it against what a Pachyderm answers.
"""

import json
import sys

from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs, pps

host, port = sys.argv[1].split(":")
client = Client(host=host, port=int(port))
seen = {}

default = pfs.Project(name="default")
for name, files in {"a": ["1_x", "1_y", "2_x"], "b": ["1", "3"], "model": ["w"]}.items():
    repo = pfs.Repo(name=name, type="user", project=default)
    client.pfs.create_repo(repo=repo)
    with client.pfs.commit(branch=pfs.Branch(repo=repo, name="master")) as commit:
        for file in files:
            commit.put_file_from_bytes(path=f"/{file}", data=f"{name}{file}\n".encode())


def leaf(repo, glob="/*", **more):
    return pps.Input(pfs=pps.PfsInput(repo=repo, project="default", glob=glob, **more))


quiet = {"reference": True, "propagation_spec": pfs.PropagationSpec(never=True)}
kinds = {
    "one": leaf("a"),
    "whole": leaf("a", "/"),
    "crossed": pps.Input(cross=[leaf("a"), leaf("b")]),
    "united": pps.Input(union=[leaf("a"), leaf("b")]),
    "joined": pps.Input(join=[leaf("a", "/(*)_*", join_on="$1"), leaf("b", "/(*)", join_on="$1")]),
    "outer": pps.Input(
        join=[leaf("a", "/(*)_*", join_on="$1"), leaf("b", "/(*)", join_on="$1", outer_join=True)]
    ),
    "grouped": pps.Input(group=[leaf("a", "/(*)_*", group_by="$1"), leaf("b", "/(*)", group_by="$1")]),
    "nested": pps.Input(cross=[leaf("b"), pps.Input(union=[leaf("a", "/1*"), leaf("a", "/2*")])]),
    "names_only": leaf("a", empty_files=True),
    "lazy": leaf("a", lazy=True),
    "with_model": pps.Input(cross=[leaf("a"), leaf("model", "/", **quiet)]),
    "triggered": leaf("a", trigger=pfs.Trigger(commits=1)),
    "ticking": pps.Input(cron=pps.CronInput(name="tick", spec="@never")),
}
for name, input in kinds.items():
    pipeline = pps.Pipeline(name=name, project=default)
    client.pps.create_pipeline(
        pipeline=pipeline,
        input=input,
        transform=pps.Transform(
            image="alpine",
            cmd=["sh"],
            stdin=["cat $(find /pfs ! -type d ! -path '/pfs/out/*' ! -name .env) >/pfs/out/$PACH_DATUM_ID"],
        ),
    )
client.pps.run_cron(pipeline=pps.Pipeline(name="ticking", project=default))

for name in kinds:
    pipeline = pps.Pipeline(name=name, project=default)
    newest = next(iter(client.pps.list_job(pipeline=pipeline))).job
    job = client.pps.inspect_job(job=newest, wait=True, details=True)
    texts = []
    for info in client.pfs.list_file(file=pfs.File.from_uri(f"{name}@master:/")):
        with client.pfs.pfs_file(file=pfs.File.from_uri(f"{name}@master:{info.file.path}")) as file:
            texts.append(" ".join(sorted(file.read().decode().split())))
    datums = list(client.pps.list_datum(job=newest))
    seen[name] = [pps.JobState(job.state).name, job.data_processed, len(datums), sorted(texts)]

with client.pfs.commit(branch=pfs.Branch.from_uri("model@master")) as commit:
    commit.put_file_from_bytes(path="/w", data=b"new\n")
seen["jobs_of_a_new_model"] = len(
    list(client.pps.list_job(pipeline=pps.Pipeline(name="with_model", project=default)))
)

with client.pfs.commit(branch=pfs.Branch.from_uri("a@master")) as commit:
    commit.put_file_from_bytes(path="/9_z", data=b"a9_z\n")
list(client.pfs.inspect_commit_set(commit_set=pfs.CommitSet(id=commit.id), wait=True))
job = client.pps.inspect_job(
    job=pps.Job(pipeline=pps.Pipeline(name="with_model", project=default), id=commit.id), wait=True
)
seen["next_event"] = [pps.JobState(job.state).name, job.data_processed, job.data_skipped]

batches = client.pps.generate_datums(kinds["crossed"], 3)
sizes = [len(next(batches))]
try:
    while True:
        sizes.append(len(batches.send(4)))
except StopIteration:
    seen["batches"] = sizes
listed = client.pps.list_datum(input=kinds["joined"])
seen["planned"] = sorted(" ".join(sorted(each.file.path for each in info.data)) for info in listed)
print(json.dumps(seen))
