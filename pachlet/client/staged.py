"""Which requests wait in an open transaction instead of running at once.

The id of the transaction goes along with these only: a server runs all others directly, whatever they carry,
so sending it with them would promise what does not happen.

Read next: transactions.py, connection.py.
"""

from __future__ import annotations

STAGED = frozenset(
    {
        ("pfs_v2.API", "CreateRepo"),
        ("pfs_v2.API", "DeleteRepo"),
        ("pfs_v2.API", "StartCommit"),
        ("pfs_v2.API", "FinishCommit"),
        ("pfs_v2.API", "SquashCommitSet"),
        ("pfs_v2.API", "CreateBranch"),
        ("pfs_v2.API", "DeleteBranch"),
        ("pps_v2.API", "CreatePipeline"),
        ("pps_v2.API", "CreatePipelineV2"),
        ("pps_v2.API", "StopJob"),
        ("pps_v2.API", "UpdateJobState"),
    }
)
"""Service and method of each."""
