"""A user's program on python-pachyderm 7.6.0, unmodified: transactions, squash and drop, and triggers.

Prints what it saw as JSON; test_history_clients.py holds it against what a Pachyderm answers.
"""

import json
import sys

import python_pachyderm
from python_pachyderm.proto.v2.pfs import pfs_pb2
from python_pachyderm.proto.v2.pps import pps_pb2
from python_pachyderm.proto.v2.transaction import transaction_pb2

host, port = sys.argv[1].split(":")
client = python_pachyderm.Client(host=host, port=int(port))
seen = {}

with client.transaction() as txn:
    client.create_repo("a")
    client.create_repo("b")
    commit = client.start_commit("a", "master")
    seen["repos_inside"] = len(list(client.list_repo()))
    seen["open"] = [info.transaction.id == txn.id for info in client.list_transaction()]
seen["repos_after"] = sorted(info.repo.name for info in client.list_repo())
seen["id_is_the_transactions"] = commit.id == txn.id
client.put_file_bytes(commit, "/x", b"0")
client.finish_commit(commit)
try:
    with client.transaction():
        client.create_repo("a")
except python_pachyderm.RpcError as error:
    seen["refused"] = "already exists" in error.details()
seen["left_open"] = len(client.list_transaction())
try:
    client.inspect_transaction(txn)
except python_pachyderm.RpcError as error:
    seen["gone"] = "not found" in error.details()

client.create_branch("a", "staging")
client.create_branch("a", "late", trigger=pfs_pb2.Trigger(branch="staging", commits=2))
for number in range(2):
    client.put_file_bytes(("a", "staging"), f"/{number}", b"x")
staged = client.inspect_branch("a", "staging").head.id
list(client.wait_commit(staged))
late = client.inspect_branch("a", "late")
seen["triggered"] = (late.head.id == staged, late.trigger.commits)

made = [commit.id]
for number in range(1, 3):
    client.put_file_bytes(("a", "master"), "/x", str(number).encode())
    made.append(client.inspect_branch("a", "master").head.id)
list(client.wait_commit(made[-1]))
client.squash_commit(made[1])
client.drop_commit(made[2])
seen["head"] = client.inspect_branch("a", "master").head.id == made[0]

request = pps_pb2.CreatePipelineRequest(
    pipeline=pps_pb2.Pipeline(name="copy"),
    input=pps_pb2.Input(pfs=pps_pb2.PFSInput(repo="a", glob="/*")),
    transform=pps_pb2.Transform(image="alpine", cmd=["sh"], stdin=["cp /pfs/a/* /pfs/out/"]),
)
done = client.batch_transaction([transaction_pb2.TransactionRequest(create_pipeline=request)])
seen["job"] = (
    next(iter(client.inspect_job(done.transaction.id, "copy", wait=True))).state == pps_pb2.JOB_SUCCESS
)
seen["dump"] = next(client.dump()).progress.progress > 0
print(json.dumps(seen))
