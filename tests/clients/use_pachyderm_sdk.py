"""A user's program on pachyderm-sdk 2.12.2, unmodified; runs in that client's own environment.

Prints what it saw as JSON; test_clients.py holds it against what a Pachyderm answers.
"""

import json
import sys

from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs, pps

host, port = sys.argv[1].split(":")
client = Client(host=host, port=int(port))
seen = {"version": client.get_version().major}

repo = pfs.Repo(name="lines", type="user", project=pfs.Project(name="default"))
client.pfs.create_repo(repo=repo)
branch = pfs.Branch(repo=repo, name="master")
with client.pfs.commit(branch=branch) as commit:
    commit.put_file_from_bytes(path="/a.txt", data=b"one\ntwo\n")
    commit.put_file_from_bytes(path="/b.txt", data=b"three\n")
    commit.put_file_from_bytes(path="/big.bin", data=b"x" * (22 * 1024 * 1024))
info = client.pfs.inspect_commit(commit=commit, wait=pfs.CommitState.FINISHED)
seen["branch_is_stripped"] = info.commit.branch is None or info.commit.branch.name in ("", None)
seen["exists"] = client.pfs.path_exists(file=pfs.File.from_uri("lines@master:/a.txt"))
seen["missing"] = client.pfs.path_exists(file=pfs.File.from_uri("lines@master:/nowhere.txt"))

pipeline = pps.Pipeline(name="count", project=pfs.Project(name="default"))
client.pps.create_pipeline(
    pipeline=pipeline,
    input=pps.Input(pfs=pps.PfsInput(repo="lines", glob="/*.txt")),
    transform=pps.Transform(
        image="alpine",
        cmd=["sh"],
        stdin=["for f in /pfs/lines/*.txt; do wc -l <$f >/pfs/out/$(basename $f); done"],
    ),
)
with client.pfs.commit(branch=branch) as commit:
    commit.put_file_from_bytes(path="/c.txt", data=b"1\n2\n3\n4\n")
infos = list(client.pfs.inspect_commit_set(commit_set=pfs.CommitSet(id=commit.id), wait=True))
seen["set"] = sorted({info.commit.repo.name for info in infos})
counted = pfs.Branch(repo=pfs.Repo(name="count", type="user"), name="master")
seen["files"] = sorted(
    info.file.path for info in client.pfs.list_file(file=pfs.File.from_uri("count@master:/"))
)
seen["counts"] = {}
for name in ("a.txt", "b.txt", "c.txt"):
    with client.pfs.pfs_file(file=pfs.File.from_uri(f"count@master:/{name}")) as file:
        seen["counts"][name] = int(file.read())
job = client.pps.inspect_job(job=pps.Job(pipeline=pipeline, id=commit.id), wait=True)
seen["processed"], seen["skipped"] = job.data_processed, job.data_skipped
output = client.pfs.inspect_commit(commit=pfs.Commit.from_uri(f"count@{commit.id}"))
seen["provenance"] = sorted(f"{each.repo.name}.{each.repo.type}" for each in output.direct_provenance)
datum = next(iter(client.pps.list_datum(job=pps.Job(pipeline=pipeline, id=commit.id))))
seen["image"] = datum.image_id.split("@")[0]
try:
    client.pfs.inspect_repo(repo=pfs.Repo(name="nope", type="user"))
except Exception as error:
    seen["nope"] = "not found" in str(error)
client.pps.delete_all()
client.pfs.delete_all()
seen["repos_left"] = len(list(client.pfs.list_repo()))
print(json.dumps(seen))
