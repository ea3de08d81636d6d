"""A user's program on pachyderm-sdk 2.12.2, unmodified: file sets, the cache of chunks, and references to them.

Prints what it saw as JSON; test_file_clients.py holds it against what a Pachyderm answers.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

import betterproto.lib.google.protobuf as wellknown
import grpc
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs, storage
from pachyderm_sdk.api.cdr.resolver import CdrResolver

host, port = sys.argv[1].split(":")
client = Client(host=host, port=int(port))
seen = {}

files = {f"/{number}/file{number}": os.urandom(2000) for number in range(5)}
files["/big"] = os.urandom(30 * 1024 * 1024)


def appends():
    for path, data in files.items():
        for start in range(0, len(data), 15 * 1024 * 1024):
            part = data[start : start + 15 * 1024 * 1024]
            yield storage.CreateFilesetRequest(append_file=storage.AppendFile(path=path, data=part))


id = client.storage.create_fileset(appends()).fileset_id
resolver = CdrResolver()
found = {each.path: resolver.resolve(each.ref) for each in client.storage.read_fileset_cdr(fileset_id=id)}
seen["resolved"] = found == files

# The folder of chunks: filled, put together from, cleared of what is not needed.
with tempfile.TemporaryDirectory() as folder:
    cache, target = Path(folder, "cache"), Path(folder, "target")
    cache.mkdir()
    Path(cache, "stranger").touch()
    client.storage.fetch_chunks(id, path="/", cache_location=cache, prune=True)
    names = [path.name for path in cache.iterdir()]
    seen["chunks"] = len(names) > len(files)
    seen["names"] = all(name.startswith("blake2b_256_") for name in names)
    client.storage.assemble_fileset(
        id, path="/", destination=target, cache_location=cache, fetch_missing_chunks=False
    )
    seen["assembled"] = {
        f"/{p.relative_to(target)}": p.read_bytes() for p in target.rglob("*") if p.is_file()
    } == files
    try:
        client.storage.assemble_fileset(
            id, path="/", destination=target, cache_location=Path(folder, "none"), fetch_missing_chunks=False
        )
    except FileNotFoundError:
        seen["incomplete"] = True
    client.storage.assemble_fileset(id, path="/2/.*", destination=Path(folder, "part"), cache_location=cache)
    seen["part"] = [str(p.relative_to(folder)) for p in Path(folder, "part").rglob("*") if p.is_file()]

# The same file set in a commit, and as one.
repo = pfs.Repo(name="data", type="user", project=pfs.Project(name="default"))
client.pfs.create_repo(repo=repo)
with client.pfs.commit(branch=pfs.Branch(repo=repo, name="master")) as commit:
    client.pfs.add_file_set(commit=pfs.Commit(repo=repo, id=commit.id), file_set_id=id)
commit.wait()
seen["in_commit"] = sorted(
    info.file.path for info in client.pfs.list_file(file=pfs.File(commit=commit, path="/"))
)
whole = client.pfs.get_file_set(commit=pfs.Commit(repo=repo, id=commit.id)).file_set_id
client.pfs.renew_file_set(file_set_id=whole, ttl_seconds=60)
virtual = pfs.Commit(repo=pfs.Repo(name="__filesets__", type="user"), id=whole)
with client.pfs.pfs_file(file=pfs.File(commit=virtual, path="/1/file1")) as file:
    seen["virtual"] = file.read() == files["/1/file1"]
both = client.pfs.compose_file_set(file_set_ids=[whole, id], ttl_seconds=60).file_set_id
seen["composed"] = sum(len(each.data) for each in client.storage.read_fileset(fileset_id=both)) == 2 * sum(
    map(len, files.values())
)
shards = client.pfs.shard_file_set(file_set_id=whole, num_files=4).shards
seen["shards"] = [(each.lower, each.upper) for each in shards]
client.pfs.put_cache(key="k", value=wellknown.Any(type_url="x", value=b"1"), file_set_ids=[both], tag="t")
seen["cached"] = client.pfs.get_cache(key="k").value.value.decode()
client.pfs.clear_cache(tag_prefix="t")
try:
    client.pfs.renew_file_set(file_set_id="0" * 32, ttl_seconds=60)
except grpc.RpcError as error:
    seen["missing"] = error.code().name
print(json.dumps(seen))
