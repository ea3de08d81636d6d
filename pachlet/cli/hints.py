"""Say what to do next, for the errors that people meet most.

A pachlet server sends a hint along with its errors; a real Pachyderm does not, and neither knows that the
command line is what the user has at hand. The patterns are the server's own words, which clients match on
anyway.

Read next: ../errors.py.
"""

from __future__ import annotations

import re

from pachlet.errors import PachletError

_HINTS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), hint)
    for pattern, hint in (
        (r"file (\S+) not found in repo (\S+) at commit (\S+)", "see `{program} list file {2}@{3}:/`"),
        (
            r"branch \"?([\w-]+)\"? not found in repo (\S+)",
            "see `{program} list repo -A` and `{program} list branch {2}`",
        ),
        (r"commit (\S+)@\S+ not found", "see `{program} list commit {1}`"),
        (
            r"repo (\S+?)[:;,]? (?:does not exist|not found)",
            "`{program} create repo {1}` makes it, `{program} list repo -A` shows all",
        ),
        (r"repo (\S+) already exists", "nothing was changed; see `{program} inspect repo {1}`"),
        (r"project \"?([\w-]+)\"? not found", "see `{program} list project`"),
        (r"pipeline \"?([\w-]+)\"? already exists", "change it with `{program} update pipeline -f SPEC`"),
        (r"couldn't find up to date spec for pipeline", "see `{program} list pipeline -A`"),
        (r"datum \S+ not found in job (\S+)", "see `{program} list datum {1}`"),
        (r"has not been finished", "finish it with `{program} finish commit REPO@BRANCH`"),
        (
            r"matched multiple files|cannot get directory",
            "get all of them with `{program} get file -r -o FOLDER`",
        ),
        (r"delete the pipeline instead", "`{program} delete pipeline PIPELINE`"),
        (
            r"function parameter (\S+) not bound in call",
            "`--arg {1}=VALUE` gives it; `{program} render --help` tells more",
        ),
        (
            r"function has no parameter (\S+)",
            "leave `--arg {1}=...` out, or give the template such a parameter",
        ),
        (r"^Deadline Exceeded$", "no answer came in the time of --rpc-timeout; see whether the server works"),
        (r"no space left on device", "free some room on the server's disk, then try again"),
    )
)


def next_step(error: PachletError, program: str) -> str:
    """Return the hint that comes with an error, or a fitting one; empty if there is none."""
    if error.hint:
        return error.hint
    for pattern, hint in _HINTS:
        if match := pattern.search(error.message):
            return hint.format("", *match.groups(), program=program)
    return ""
