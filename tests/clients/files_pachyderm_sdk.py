"""A user's program on pachyderm-sdk 2.12.2, unmodified: every way to write and to read files, and what is around it.

Prints what it saw as JSON; test_file_clients.py holds it against what a Pachyderm answers.
"""

import io
import json
import os
import sys
import tempfile
from pathlib import Path

import grpc
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs
from pachyderm_sdk.errors import AuthServiceNotActivated

host, port = sys.argv[1].split(":")
page = sys.argv[2]
client = Client(host=host, port=int(port))
seen = {}
refused = (grpc.RpcError, ValueError)

# Names: no project is the default one; what is there, and what is not.
client.pfs.create_project(project=pfs.Project(name="other"), description="one more")
repo = pfs.Repo(name="data", type="user", project=pfs.Project(name="other"))
plain = pfs.Repo(name="plain", type="user", project=pfs.Project(name=""))
client.pfs.create_repo(repo=repo, description="first")
client.pfs.create_repo(repo=plain)
seen["projects"] = sorted(info.project.name for info in client.pfs.list_project())
seen["repos"] = sorted(f"{i.repo.project.name}/{i.repo.name}" for i in client.pfs.list_repo())
seen["description"] = client.pfs.inspect_repo(repo=repo).description
seen["commits_of_a_new_repo"] = len(list(client.pfs.list_commit(repo=repo)))
seen["exists"] = [
    client.pfs.project_exists(pfs.Project(name="other")),
    client.pfs.project_exists(pfs.Project(name="nope")),
    client.pfs.repo_exists(repo),
    client.pfs.repo_exists(pfs.Repo(name="nope", type="user")),
]
master = pfs.Branch(repo=repo, name="master")
client.pfs.create_branch(branch=master)
client.pfs.create_branch(branch=pfs.Branch(repo=repo, name="develop"))
seen["branches"] = [info.branch.name for info in client.pfs.list_branch(repo=repo)]
try:
    client.pfs.delete_project(project=pfs.Project(name="other"))
except refused as error:
    seen["project_in_use"] = error.code().name

# Writing, in one commit and in the next.
subscribed = client.pfs.subscribe_commit(repo=repo, branch="master")
with client.pfs.commit(branch=master) as first:
    first.put_file_from_bytes(path="bytes", data=b"12")
    first.put_file_from_file(path="/filelike", file=io.BytesIO(b"123"))
    first.put_file_from_bytes(path="/empty", data=b"")
    first.put_file_from_url(path="/page", url=page)
    first.put_file_from_bytes(path="/a/b/deep", data=b"d")
    first.put_file_from_bytes(path="/a/shallow", data=b"s")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("one", "two"):
            Path(folder, name).write_bytes(name.encode())
        first.put_files(source=Path(folder), path="/folder")
    large = os.urandom(22 * 1024 * 1024)
    first.put_file_from_bytes(path="/large", data=large)
first.wait()
seen["subscribed"] = [next(subscribed).commit.id == first.id for _ in range(2)]
with client.pfs.commit(branch=master) as second:
    second.put_file_from_bytes(path="/bytes", data=b"34", append=True)
    second.put_file_from_bytes(path="/filelike", data=b"new")
    second.copy_file(src=pfs.File(commit=first, path="/a"), dst="/copy")
    second.delete_file(path="/a/")
    second.delete_file(path="/empty")
second.wait()


def at(commit, path):
    return pfs.File(commit=commit, path=path)


def read(commit, path):
    with client.pfs.pfs_file(at(commit, path)) as file:
        return file.read()


# Reading.
seen["sizes"] = {
    info.file.path: info.size_bytes
    for info in client.pfs.list_file(file=at(first, "/"))
    if info.size_bytes < 9
}
seen["page"] = read(first, "/page").decode()
seen["empty"] = read(first, "/empty").decode()
seen["appended"] = read(second, "/bytes").decode()
seen["replaced"] = read(second, "/filelike").decode()
seen["walked"] = [info.file.path for info in client.pfs.walk_file(file=at(first, "/a"))]
seen["globbed"] = [info.file.path for info in client.pfs.glob_file(commit=first, pattern="/f*/t*")]
seen["differ"] = [
    (each.new_file.file.path if each.new_file else "", each.old_file.file.path if each.old_file else "")
    for each in client.pfs.diff_file(new_file=at(second, "/"))
]
seen["unlike_paths"] = [
    (each.new_file.file.path if each.new_file else "", each.old_file.file.path if each.old_file else "")
    for each in client.pfs.diff_file(new_file=at(second, "/bytes"), old_file=at(first, "/filelike"))
]
seen["paths"] = [
    client.pfs.path_exists(at(second, each)) for each in ("/", "/copy", "/copy/", "/bytes/", "/a")
]
try:
    client.pfs.path_exists(pfs.File.from_uri("nope@master:/x"))
except refused as error:
    seen["no_commit"] = str(error)
with client.pfs.pfs_file(at(first, "/large")) as file:
    seen["first_message_is_a_part"] = 0 < len(file._buffer) < len(large)
    seen["large"] = file.read() == large
with client.pfs.pfs_tar_file(at(second, "/copy")) as archive, tempfile.TemporaryDirectory() as folder:
    archive.extraction_filter = lambda member, path: member
    archive.extractall(folder)
    seen["extracted"] = sorted(str(p.relative_to(folder)) for p in Path(folder).rglob("*") if p.is_file())
try:
    with client.pfs.pfs_file(at(second, "/nope")):
        pass
except refused as error:
    seen["missing"] = type(error).__name__
try:
    with client.pfs.commit(branch=master) as third:
        third.put_file_from_bytes(path="/wild*", data=b"1")
except refused as error:
    seen["bad_path"] = "globbing character" in error.details()

# What is left of it.
seen["infos"] = [
    (info.commit.id == each.id, info.finished.microsecond > 0 or info.finished.year > 2000, info.description)
    for each in (first, second)
    for info in [client.pfs.inspect_commit(commit=each, wait=pfs.CommitState.FINISHED)]
]
seen["no_branch_in_answers"] = (
    all(not info.commit.branch for info in client.pfs.list_commit(repo=repo))
    and not client.pfs.inspect_file(file=at(second, "/bytes")).file.commit.branch
)
seen["fsck"] = len(list(client.pfs.fsck()))
client.pfs.delete_repos(projects=[pfs.Project(name="other")])
client.pfs.delete_project(project=pfs.Project(name="other"))
seen["left"] = sorted(info.repo.name for info in client.pfs.list_repo())

# What a server without logins answers.
try:
    client.auth.who_am_i()
except AuthServiceNotActivated as error:  # which the client makes of code and text
    seen["auth"] = str(error)
seen["ids"] = [client.admin.inspect_cluster().deployment_id for _ in range(2)]
seen["profile"] = any(each.value for each in client.debug.binary())
print(json.dumps(seen))
