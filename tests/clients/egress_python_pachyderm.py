"""Egress and URLs of an object store with python-pachyderm 7.6, unmodified; runs in that client's own environment.

Prints what it saw as JSON; test_egress_clients.py holds it against what a Pachyderm answers.
"""

import json
import sys

import python_pachyderm
from python_pachyderm.service import pps_proto

host, port = sys.argv[1].split(":")
client = python_pachyderm.Client(host=host, port=int(port))
url = sys.argv[2]
seen = {}

client.create_repo("in")
client.put_file_bytes(("in", "master"), "/a", b"1")
with client.modify_file_client(("in", "master")) as commit:
    commit.put_file_from_url("/b", url + "/source/b")
    commit.put_file_from_url("/all", url + "/source/", recursive=True)
seen["put"] = [info.file.path for info in client.walk_file(("in", "master"), "/")]
client.create_pipeline(
    "out",
    transform=pps_proto.Transform(image="alpine", cmd=["sh"], stdin=["cp -r /pfs/in/* /pfs/out/"]),
    input=pps_proto.Input(pfs=pps_proto.PFSInput(repo="in", glob="/")),
    egress=pps_proto.Egress(URL=url + "/pipeline"),
)
job = next(client.list_job("out")).job
info = client.inspect_job(job.id, "out", wait=True, details=True).__next__()
seen["job"] = [info.state, info.details.egress.URL.rpartition("/")[2]]
client.get_file(("in", "master"), "/a", URL=url + "/one")
client.get_file_tar(("in", "master"), "/all", URL=url + "/many")
print(json.dumps(seen))
