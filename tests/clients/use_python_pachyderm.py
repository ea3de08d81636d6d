"""A user's program on python-pachyderm 7.6.0, unmodified; runs in that client's own environment.

Prints what it saw as JSON; test_clients.py holds it against what a Pachyderm answers.
"""

import json
import re
import sys

import python_pachyderm
from python_pachyderm.service import pps_proto

host, port = sys.argv[1].split(":")
client = python_pachyderm.Client(host=host, port=int(port))
seen = {"version": client.get_remote_version().major}

client.create_repo("lines")
with client.commit("lines", "master") as commit:
    client.put_file_bytes(commit, "/a.txt", b"one\ntwo\n")
    client.put_file_bytes(commit, "/b.txt", b"three\n")
    client.put_file_bytes(commit, "/big.bin", b"x" * (22 * 1024 * 1024))
seen["commit_has_branch_repo"] = client.inspect_commit(commit)
seen["commit_has_branch_repo"] = next(iter(seen["commit_has_branch_repo"])).commit.branch.repo.name
seen["exists"] = client.path_exists(("lines", "master"), "a.txt")
seen["missing"] = client.path_exists(("lines", "master"), "nowhere.txt")
try:
    client.path_exists(("no_such_repo", "master"), "x")
except ValueError as error:
    seen["no_such_repo"] = str(error)

client.create_pipeline(
    "count",
    transform=pps_proto.Transform(
        image="alpine",
        cmd=["sh"],
        stdin=["for f in /pfs/lines/*.txt; do wc -l <$f >/pfs/out/$(basename $f); done"],
    ),
    input=pps_proto.Input(pfs=pps_proto.PFSInput(glob="/*.txt", repo="lines")),
)
client.put_file_bytes(("lines", "master"), "/c.txt", b"1\n2\n3\n4\n")
head = client.inspect_branch("lines", "master").head.id
infos = list(client.wait_commit(head))
seen["set"] = sorted({info.commit.branch.repo.name for info in infos})
seen["files"] = sorted(info.file.path for info in client.list_file(("count", "master"), "/"))
seen["counts"] = {
    name: int(client.get_file(("count", "master"), f"/{name}").read()) for name in ("a.txt", "b.txt", "c.txt")
}
job = next(iter(client.list_job("count")))
seen["processed"], seen["skipped"] = job.data_processed, job.data_skipped
output = next(iter(client.inspect_commit(("count", "master"))))
seen["provenance"] = sorted(
    f"{each.branch.repo.name}.{each.branch.repo.type}" for each in output.direct_provenance
)
datum = next(iter(client.list_datum("count", job.job.id)))
seen["image"] = datum.image_id.split("@")[0]
try:
    client.inspect_repo("nope")
except python_pachyderm.RpcError as error:
    seen["nope"] = bool(re.search("repo .* not found", error.details()))

client.delete_all()
seen["repos_left"] = len(list(client.list_repo()))
print(json.dumps(seen))
