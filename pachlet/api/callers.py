"""Tell callers apart where the published clients contradict each other.

Since 2.6 a commit is known by repo and id. Servers from 2.8 on remove `Commit.branch` from what they answer, and
pachyderm-sdk asserts that; python-pachyderm (2.7) needs it, and takes the repo from there. The only difference on the
wire is the user agent.

Who makes a commit, from what and why, a client of ours says in a header, which no other server reads.

Read next: handlers.py (who calls this), pachlet/client/authorship.py.
"""

from __future__ import annotations

import json
from typing import Any

import grpc

from pachlet.pfs.marks import NOBODY, Mark

MARK_KEY = "pachlet-mark-bin"

_STRIPPED_FOR = ("pachyderm-sdk", "grpc-go")
_STRIPPED = {
    "pfs_v2.Commit",
    "pfs_v2.CommitInfo",
    "pfs_v2.CommitSetInfo",
    "pfs_v2.FileInfo",
    "pfs_v2.DiffFileResponse",
    "pfs_v2.BranchInfo",
    "pfs_v2.FindCommitsResponse",
}


def sees_branches(context: grpc.ServicerContext) -> bool:
    """Tell whether the caller is one that reads `Commit.branch`."""
    agent = next((str(value) for key, value in context.invocation_metadata() if key == "user-agent"), "")
    return not any(name in agent for name in _STRIPPED_FOR)


def mark_of(context: grpc.ServicerContext) -> Mark:
    """Return what a caller says of the commits that the call makes; what can't be read is not known."""
    sent = next((value for key, value in context.invocation_metadata() if key == MARK_KEY), b"")
    try:
        said = json.loads(sent)
    except ValueError:
        return NOBODY
    if not isinstance(said, dict):
        return NOBODY
    known = ("author", "source", "client", "message")
    return Mark(**{key: said[key] for key in known if isinstance(said.get(key), str)})


def strip_branches(response: Any) -> Any:
    """Remove `branch` from every commit in an answer of PFS; other messages are left as they are."""
    if response is not None and response.DESCRIPTOR.full_name in _STRIPPED:
        _strip(response)
    return response


def _strip(message: Any) -> None:
    if message.DESCRIPTOR.full_name == "pfs_v2.Commit":
        message.ClearField("branch")
        return
    for field, value in message.ListFields():
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        for each in value if field.is_repeated else [value]:
            if each.DESCRIPTOR.file.package == "pfs_v2":
                _strip(each)
