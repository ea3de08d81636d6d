"""What a spout's code does with python-pachyderm, inside its sandbox."""

import signal

import python_pachyderm

client = python_pachyderm.Client.new_in_cluster()
for number in range(3):
    client.put_file_bytes(("s", "master"), f"/{number}", b"by python-pachyderm")
with client.commit("s", "master") as commit:
    client.put_file_bytes(commit, "/last", python_pachyderm.Client().inspect_repo("s").repo.name.encode())
signal.pause()
