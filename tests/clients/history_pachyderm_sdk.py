"""A user's program on pachyderm-sdk 2.12.2, unmodified: transactions, squash and drop, triggers, metadata and walks.

Prints what it saw as JSON; test_history_clients.py holds it against what a Pachyderm answers.
"""

import json
import sys

from pachyderm_sdk import Client
from pachyderm_sdk.api import metadata, pfs, pps, transaction

host, port = sys.argv[1].split(":")
client = Client(host=host, port=int(port))
seen = {}
a, b = (pfs.Repo(name=name, type="user", project=pfs.Project(name="default")) for name in "ab")
master, below = pfs.Branch(repo=a, name="master"), pfs.Branch(repo=b, name="master")

with client.transaction.transaction() as txn:
    client.pfs.create_repo(repo=a)
    client.pfs.create_repo(repo=b)
    with client.pfs.commit(branch=master) as commit:
        pass
    client.pfs.create_branch(branch=below, provenance=[master])
    seen["repos_inside"] = len(list(client.pfs.list_repo()))
    seen["open"] = [
        info.transaction.id == txn.id for info in client.transaction.list_transaction().transaction_info
    ]
seen["repos_after"] = sorted(info.repo.name for info in client.pfs.list_repo())
seen["id_is_the_transactions"] = commit.id == txn.id
seen["exists"] = client.transaction.transaction_exists(txn)
client.pfs.finish_commit(commit=pfs.Commit(repo=b, id=commit.id))
commit.wait_all()

try:
    with client.transaction.transaction():
        client.pfs.create_repo(repo=a)
except Exception as error:
    seen["refused"] = "already exists" in str(error)
seen["left_open"] = len(client.transaction.list_transaction().transaction_info)

started = client.transaction.start_transaction()
client.pfs.create_branch(branch=pfs.Branch(repo=a, name="staging"))
client.transaction.finish_transaction(transaction=started)
client.pfs.create_branch(
    branch=pfs.Branch(repo=a, name="late"), trigger=pfs.Trigger(branch="staging", commits=2)
)
for number in range(2):
    with client.pfs.commit(branch=pfs.Branch(repo=a, name="staging")) as staged:
        staged.put_file_from_bytes(path=f"/{number}", data=b"x")
    staged.wait()
late = client.pfs.inspect_branch(branch=pfs.Branch(repo=a, name="late"))
seen["triggered"] = (late.head.id == staged.id, late.trigger.commits)

made = []
for number in range(3):
    with client.pfs.commit(branch=master) as commit:
        commit.put_file_from_bytes(path="/x", data=str(number).encode())
    client.pfs.finish_commit(commit=pfs.Commit(repo=b, id=commit.id))
    commit.wait_all()
    made.append(commit.id)
found = list(client.pfs.find_commits(start=pfs.Commit(repo=a, id=made[2]), file_path="/x"))
seen["found"] = [each.found_commit.id == id for each, id in zip(found, made[::-1], strict=False)]
picker = pfs.RepoPicker(name=pfs.RepoPickerRepoName(project=pfs.ProjectPicker(name="default"), name="b"))
walked = client.pfs.walk_commit_provenance(
    start=[pfs.CommitPicker(id=pfs.CommitPickerCommitByGlobalId(repo=picker, id=made[2]))]
)
seen["walked"] = [info.commit.repo.name for info in walked]
edit = metadata.Edit(repo=picker, add_key=metadata.EditAddKey(key="owner", value="me"))
client.metadata.edit_metadata(edits=[edit])
seen["metadata"] = client.pfs.inspect_repo(repo=b).metadata

client.pfs.squash_commit_set(commit_set=pfs.CommitSet(id=made[1]))
client.pfs.drop_commit_set(commit_set=pfs.CommitSet(id=made[2]))
seen["head"] = client.pfs.inspect_branch(branch=master).head.id == made[0]

transform = pps.Transform(image="alpine", cmd=["sh"], stdin=["cp /pfs/a/* /pfs/out/"])
request = pps.CreatePipelineRequest(
    pipeline=pps.Pipeline(name="copy", project=pfs.Project(name="default")),
    input=pps.Input(pfs=pps.PfsInput(repo="a", glob="/*")),
    transform=transform,
)
done = client.transaction.batch_transaction(
    requests=[
        transaction.TransactionRequest(
            create_pipeline_v2=pps.CreatePipelineTransaction(create_pipeline_request=request)
        )
    ]
)
job = pps.Job(pipeline=request.pipeline, id=done.transaction.id)
seen["job"] = client.pps.inspect_job(job=job, wait=True).state == pps.JobState.JOB_SUCCESS
dump = next(iter(client.debug.dump(system=None)))
seen["dump"] = dump.progress.progress > 0
print(json.dumps(seen))
