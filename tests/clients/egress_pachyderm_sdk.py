"""Egress and URLs of an object store with pachyderm-sdk 2.12.2, unmodified; runs in that client's own environment.

Prints what it saw as JSON; test_egress_clients.py holds it against what a Pachyderm answers.
"""

import json
import sys

from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs, pps

host, port = sys.argv[1].split(":")
client = Client(host=host, port=int(port))
url = sys.argv[2]
seen = {}

repo = pfs.Repo.from_uri("in")
client.pfs.create_repo(repo=repo)
with client.pfs.commit(branch=pfs.Branch.from_uri("in@master")) as commit:
    commit.put_file_from_bytes(path="/a", data=b"1")
    commit.put_file_from_url(path="/b", url=url + "/source/b")
    commit.put_file_from_url(path="/all", url=url + "/source/", recursive=True)
seen["put"] = [info.file.path for info in client.pfs.walk_file(file=pfs.File.from_uri("in@master:/"))]
pipeline = pps.Pipeline(name="out", project=pfs.Project(name="default"))
client.pps.create_pipeline(
    pipeline=pipeline,
    transform=pps.Transform(image="alpine", cmd=["sh"], stdin=["cp -r /pfs/in/* /pfs/out/"]),
    input=pps.Input(pfs=pps.PfsInput(repo="in", glob="/")),
    egress=pps.Egress(object_storage=pfs.ObjectStorageEgress(url=url + "/pipeline")),
)
job = next(iter(client.pps.list_job(pipeline=pipeline))).job
info = client.pps.inspect_job(job=job, wait=True, details=True)
seen["job"] = [info.state, info.details.egress.object_storage.url.rpartition("/")[2]]
answer = client.pfs.egress(
    commit=pfs.Commit.from_uri("in@master"), object_storage=pfs.ObjectStorageEgress(url=url + "/rpc")
)
seen["bytes"] = answer.object_storage.bytes_written
list(client.pfs.get_file(file=pfs.File.from_uri("in@master:/a"), url=url + "/one"))
list(client.pfs.get_file_tar(file=pfs.File.from_uri("in@master:/all"), url=url + "/many"))
print(json.dumps(seen))
