"""The life of a pipeline on pachyderm-sdk 2.12.2, unmodified; runs in that client's own environment.

Prints what it saw as JSON; test_life_clients.py holds it against what a Pachyderm answers.
"""

import json
import sys

from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs, pps

host, port = sys.argv[1].split(":")
client = Client(host=host, port=int(port))
seen = {}

default = pfs.Project(name="default")
source = pfs.Repo(name="in", type="user", project=default)


def named(name):
    return pps.Pipeline(name=name, project=default)


def put(path, text):
    with client.pfs.commit(branch=pfs.Branch(repo=source, name="master")) as commit:
        commit.put_file_from_bytes(path=path, data=text.encode())
    return commit.id


def create(name, script, repo="in", **more):
    client.pps.create_pipeline(
        pipeline=named(name),
        transform=pps.Transform(image="alpine", cmd=["sh"], stdin=[script]),
        input=pps.Input(pfs=pps.PfsInput(name="in", repo=repo, project="default", glob="/*")),
        datum_tries=1,
        **more,
    )


def told(info):
    return [pps.JobState(info.state).name, info.data_processed, info.data_skipped, info.data_failed]


def ended(name, id):
    return client.pps.inspect_job(job=pps.Job(pipeline=named(name), id=id), wait=True)


def newest(name):
    return next(iter(client.pps.list_job(pipeline=named(name)))).job.id


def state(name):
    return pps.PipelineState(client.pps.inspect_pipeline(pipeline=named(name)).state).name


client.pfs.create_repo(repo=source)
put("/a", "1")
create("copy", "cp /pfs/in/* /pfs/out/; echo copied", description="copies")
seen["first"] = told(ended("copy", newest("copy")))
info = client.pps.inspect_pipeline(pipeline=named("copy"), details=True)
seen["inspected"] = [info.version, info.details.description, info.details.transform.cmd, state("copy")]
seen["listed"] = [each.pipeline.name for each in client.pps.list_pipeline()]

followed = client.pps.subscribe_job(pipeline=named("copy"), details=True)
id = put("/b", "2")
seen["subscribed"] = next(followed).job.id == id
client.pfs.wait_commit(commit=pfs.Commit(repo=pfs.Repo(name="copy", type="user", project=default), id=id))
seen["followed"] = told(ended("copy", id))
seen["set"] = sorted(
    each.job.pipeline.name for each in client.pps.inspect_job_set(job_set=pps.JobSet(id=id), wait=True)
)
job = pps.Job(pipeline=named("copy"), id=id)
datums = list(client.pps.list_datum(job=job))
seen["datums"] = sorted(pps.DatumState(each.state).name for each in datums)
ran = next(each for each in datums if each.state == pps.DatumState.SUCCESS)
seen["read"] = [each.file.path for each in client.pps.inspect_datum(datum=ran.datum).data]
seen["logs"] = [each.message for each in client.pps.get_logs(job=job) if each.user]

client.pps.stop_pipeline(pipeline=named("copy"))
seen["stopped"] = state("copy")
missed = put("/c", "3")
seen["while stopped"] = any(each.job.id == missed for each in client.pps.list_job(pipeline=named("copy")))
client.pps.start_pipeline(pipeline=named("copy"))
seen["started"] = told(ended("copy", newest("copy")))
seen["running"] = state("copy")

create("copy", "cp /pfs/in/* /pfs/out/; echo again", update=True)
version = client.pps.inspect_pipeline(pipeline=named("copy")).version
seen["updated"] = [version, *told(ended("copy", newest("copy")))]
create("copy", "cp /pfs/in/* /pfs/out/; echo anew", update=True, reprocess=True)
seen["reprocessed"] = told(ended("copy", newest("copy")))
client.pps.rerun_pipeline(pipeline=named("copy"), reprocess=True)
seen["rerun"] = told(ended("copy", newest("copy")))

create("slow", "echo begun; sleep 600")
slow = pps.Job(pipeline=named("slow"), id=newest("slow"))
for line in client.pps.get_logs(job=slow, follow=True):
    if line.message == "begun":
        break
seen["at work"] = pps.JobState(client.pps.inspect_job(job=slow).state).name
client.pps.stop_job(job=slow, reason="enough")
info = client.pps.inspect_job(job=slow, wait=True)
seen["killed"] = [pps.JobState(info.state).name, info.reason]

create("bad", "exit 3")
create("below", "true", repo="bad")
info = ended("bad", newest("bad"))
seen["failed"] = [pps.JobState(info.state).name, "exit" in info.reason]
seen["unrunnable"] = pps.JobState(ended("below", newest("below")).state).name
client.pps.delete_job(job=pps.Job(pipeline=named("bad"), id=newest("bad")))
seen["jobs left"] = len(list(client.pps.list_job(pipeline=named("bad"))))

client.pps.delete_pipeline(pipeline=named("below"))
client.pps.delete_pipeline(pipeline=named("copy"), keep_repo=True)
seen["exists"] = client.pps.pipeline_exists(named("copy"))
with client.pfs.pfs_file(file=pfs.File.from_uri("copy@master:/b")) as file:
    seen["kept"] = file.read().decode()
try:
    client.pfs.delete_repo(repo=source)
except Exception as error:
    seen["refused"] = "slow" in str(error)
client.pps.delete_pipelines(projects=[default])
repos = client.pfs.list_repo(type="user")
seen["left"] = [len(list(client.pps.list_pipeline())), sorted(each.repo.name for each in repos)]
print(json.dumps(seen))
