"""The life of a pipeline on python-pachyderm 7.6.0, unmodified; runs in that client's own environment.

Prints what it saw as JSON; test_life_clients.py holds it against what a Pachyderm answers.
"""

import json
import sys

import python_pachyderm
from python_pachyderm.service import pps_proto

host, port = sys.argv[1].split(":")
client = python_pachyderm.Client(host=host, port=int(port))
seen = {}


def put(path, text):
    with client.commit("in", "master") as commit:
        client.put_file_bytes(commit, path, text.encode())
    return commit.id


def create(name, script, repo="in", **more):
    client.create_pipeline(
        name,
        transform=pps_proto.Transform(image="alpine", cmd=["sh"], stdin=[script]),
        input=pps_proto.Input(pfs=pps_proto.PFSInput(name="in", repo=repo, glob="/*")),
        datum_tries=1,
        **more,
    )


def told(info):
    return [pps_proto.JobState.Name(info.state), info.data_processed, info.data_skipped, info.data_failed]


def ended(name, id):
    return next(iter(client.inspect_job(id, name, wait=True)))


def newest(name):
    return next(iter(client.list_job(name))).job.id


def state(name):
    info = next(iter(client.inspect_pipeline(name)))
    return pps_proto.PipelineState.Name(info.state)


client.create_repo("in")
put("/a", "1")
create("copy", "cp /pfs/in/* /pfs/out/; echo copied", description="copies")
seen["first"] = told(ended("copy", newest("copy")))
info = next(iter(client.inspect_pipeline("copy", details=True)))
seen["inspected"] = [info.version, info.details.description, list(info.details.transform.cmd), state("copy")]
seen["listed"] = [each.pipeline.name for each in client.list_pipeline()]

id = put("/b", "2")
client.wait_commit(("copy", id))
seen["followed"] = told(ended("copy", id))
seen["set"] = sorted(each.job.pipeline.name for each in client.inspect_job(id))
datums = list(client.list_datum("copy", id))
seen["datums"] = sorted(pps_proto.DatumState.Name(each.state) for each in datums)
ran = next(each for each in datums if each.state == pps_proto.DatumState.SUCCESS)
seen["read"] = [each.file.path for each in client.inspect_datum("copy", id, ran.datum.id).data]
seen["logs"] = [each.message for each in client.get_job_logs("copy", id) if each.user]

client.stop_pipeline("copy")
seen["stopped"] = state("copy")
missed = put("/c", "3")
seen["while stopped"] = any(each.job.id == missed for each in client.list_job("copy"))
client.start_pipeline("copy")
seen["started"] = told(ended("copy", newest("copy")))
seen["running"] = state("copy")

create("copy", "cp /pfs/in/* /pfs/out/; echo again", update=True)
seen["updated"] = [next(iter(client.inspect_pipeline("copy"))).version, *told(ended("copy", newest("copy")))]
create("copy", "cp /pfs/in/* /pfs/out/; echo anew", update=True, reprocess=True)
seen["reprocessed"] = told(ended("copy", newest("copy")))

create("slow", "echo begun; sleep 600")
slow = newest("slow")
for line in client.get_job_logs("slow", slow, follow=True):
    if line.message == "begun":
        break
seen["at work"] = pps_proto.JobState.Name(next(iter(client.inspect_job(slow, "slow"))).state)
client.stop_job(slow, "slow", reason="enough")
info = ended("slow", slow)
seen["killed"] = [pps_proto.JobState.Name(info.state), info.reason]

create("bad", "exit 3")
create("below", "true", repo="bad")
info = ended("bad", newest("bad"))
seen["failed"] = [pps_proto.JobState.Name(info.state), "exit" in info.reason]
seen["unrunnable"] = pps_proto.JobState.Name(ended("below", newest("below")).state)
client.delete_job(newest("bad"), "bad")
seen["jobs left"] = len(list(client.list_job("bad")))

client.delete_pipeline("below")
client.delete_pipeline("copy", keep_repo=True)
seen["kept"] = client.get_file(("copy", "master"), "/b").read().decode()
try:
    client.delete_repo("in")
except Exception as error:
    seen["refused"] = "slow" in str(error)
client.delete_all_pipelines()
seen["left"] = [len(list(client.list_pipeline())), sorted(each.repo.name for each in client.list_repo())]
print(json.dumps(seen))
