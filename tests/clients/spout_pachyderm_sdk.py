"""What a spout's code does with pachyderm-sdk, inside its sandbox."""

import signal

from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs

client = Client.new_in_cluster()
branch = pfs.Branch.from_uri("s@master")
for number in range(3):
    with client.pfs.commit(branch=branch) as commit:
        commit.put_file_from_bytes(f"/{number}", b"by pachyderm-sdk")
with Client.from_config("/pachctl/config.json").pfs.commit(branch=branch) as commit:
    commit.put_file_from_bytes("/last", client.pfs.inspect_repo(repo=branch.repo).repo.name.encode())
signal.pause()
