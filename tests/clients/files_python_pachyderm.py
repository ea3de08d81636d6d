"""A user's program on python-pachyderm 7.6.0, unmodified: every way to write and to read files, and what is around it.

Prints what it saw as JSON; test_file_clients.py holds it against what a Pachyderm answers.
"""

import io
import json
import os
import sys
import tempfile
from pathlib import Path

import grpc
import python_pachyderm
from python_pachyderm.pfs import Commit

host, port = sys.argv[1].split(":")
page = sys.argv[2]
client = python_pachyderm.Client(host=host, port=int(port))
seen = {}
other = {"project_name": "other"}

# Names: no project is the default one; what is there, and what is not.
client.create_project("other", description="one more")
client.create_repo("data", description="first", **other)
client.create_repo("plain")
seen["projects"] = sorted(info.project.name for info in client.list_project())
seen["repos"] = sorted(f"{info.repo.project.name}/{info.repo.name}" for info in client.list_repo())
seen["description"] = client.inspect_repo("data", **other).description
seen["commits_of_a_new_repo"] = len(list(client.list_commit("data", **other)))
client.create_branch("data", "master", **other)
client.create_branch("data", "develop", **other)
seen["branches"] = [info.branch.name for info in client.list_branch("data", **other)]
try:
    client.delete_project("other")
except grpc.RpcError as error:
    seen["project_in_use"] = error.code().name
client.delete_repo("nope")  # is no error

# Writing, in one commit and in the next.
subscribed = client.subscribe_commit("data", "master", **other)
with client.commit("data", "master", **other) as first:
    client.put_file_bytes(first, "bytes", b"12")
    client.put_file_bytes(first, "/filelike", io.BytesIO(b"123"))
    client.put_file_bytes(first, "/empty", b"")
    client.put_file_url(first, "/page", page)
    with client.modify_file_client(first) as writer:
        writer.put_file_from_bytes("/a/b/deep", b"d")
        writer.put_file_from_bytes("/a/shallow", b"s")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("one", "two"):
            Path(folder, name).write_bytes(name.encode())
        python_pachyderm.put_files(client, folder, first, "/folder")
    large = os.urandom(22 * 1024 * 1024)
    client.put_file_bytes(first, "/large", large)
list(client.wait_commit(first.id))
seen["subscribed"] = next(subscribed).commit.id == first.id
with client.commit("data", "master", **other) as second:
    client.put_file_bytes(second, "/bytes", b"34", append=True)
    client.put_file_bytes(second, "/filelike", b"new")
    client.copy_file(first, "/a", second, "/copy")
    client.delete_file(second, "/a/")
    client.delete_file(second, "/empty")
list(client.wait_commit(second.id))


def read(commit, path):
    with client.get_file(commit, path) as file:
        return file.read()


# Reading.
seen["sizes"] = {
    info.file.path: info.size_bytes for info in client.list_file(first, "/") if info.size_bytes < 9
}
seen["page"] = read(first, "/page").decode()
seen["empty"] = read(first, "/empty").decode()
seen["appended"] = read(second, "/bytes").decode()
seen["replaced"] = read(second, "/filelike").decode()
seen["walked"] = [info.file.path for info in client.walk_file(first, "/a")]
seen["globbed"] = [info.file.path for info in client.glob_file(first, "/f*/t*")]
seen["differ"] = [
    (each.new_file.file.path, each.old_file.file.path) for each in client.diff_file(second, "/")
]
seen["unlike_paths"] = [
    (each.new_file.file.path, each.old_file.file.path)
    for each in client.diff_file(second, "/bytes", first, "/filelike")
]
seen["paths"] = [client.path_exists(second, each) for each in ("/", "/copy", "/copy/", "/bytes/", "/a")]
try:
    client.path_exists(("nope", "master"), "/x")
except ValueError as error:
    seen["no_commit"] = str(error)
with client.get_file(first, "/large") as file:
    seen["first_message_is_a_part"] = 0 < len(file._buffer) < len(large)
    seen["large"] = file.read() == large
with client.get_file_tar(second, "/copy") as archive, tempfile.TemporaryDirectory() as folder:
    archive.extraction_filter = lambda member, path: member
    archive.extractall(folder)
    seen["extracted"] = sorted(str(p.relative_to(folder)) for p in Path(folder).rglob("*") if p.is_file())
try:
    client.get_file(second, "/nope")
except ConnectionError as error:
    seen["missing"] = type(error).__name__
try:
    client.put_file_bytes(Commit("data", "master", project="other"), "/wild*", b"1")
except Exception as error:
    seen["bad_path"] = "globbing character" in str(error)
# All of one call or nothing of it: the second file's URL leads nowhere.
before = client.inspect_branch("data", "master", **other).head.id
try:
    with client.modify_file_client(Commit("data", "master", project="other")) as writer:
        writer.put_file_from_bytes("/half", b"1")
        writer.put_file_from_url("/half2", page + "/nowhere")
except grpc.RpcError as error:
    seen["bad_url"] = "error retrieving content from" in error.details() and "404" in error.details()
seen["nothing_of_it"] = client.inspect_branch("data", "master", **other).head.id == before

# What is left of it.
seen["infos"] = [
    (info.commit.id == each.id, info.finished.seconds > 0 and info.finished.nanos > 0, info.description)
    for each in (first, second)
    for info in client.inspect_commit(each, commit_state=4)
]
seen["branch_in_answers"] = [
    next(client.list_commit("data", **other)).commit.branch.repo.name,
    client.inspect_file(second, "/bytes").file.commit.branch.repo.name,
]
seen["fsck"] = len(list(client.fsck()))
client.delete_repo("data", **other)
client.delete_project("other")
seen["left"] = sorted(info.repo.name for info in client.list_repo())

# What a server without logins answers.
try:
    client.who_am_i()
except grpc.RpcError as error:
    seen["auth"] = error.details()
seen["ids"] = [client.inspect_cluster().deployment_id for _ in range(2)]
seen["profile"] = any(client.binary())
client.delete_all()  # asks identity, auth and license first, which are not there
seen["after_delete_all"] = [info.project.name for info in client.list_project()]
print(json.dumps(seen))
