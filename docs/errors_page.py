"""errors.md: every class of error, made from the classes.

Read next: pachlet/errors.py, pages.py.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from pachlet import errors
from pachlet.errors import PachletError

_HEAD = """# Errors

Made from [pachlet/errors.py](../pachlet/errors.py) by `make docs`.

Whatever a user can act on is a `PachletError`: one sentence, the gRPC status that a client gets, the exit status of the
command line and, where there is one, the next step (a client finds it in the trailing metadata, under
`pachlet-hint-bin`). Anything else is a bug, and is reported as one.

Sentences that begin with a lower-case letter and name what was looked for are Pachyderm's own, because its clients
match on them: `repo crypto/prices not found`.

| Class | When | gRPC status | Exit status |
| --- | --- | --- | --- |
"""

_TAIL = """
Two more exit statuses: 130 after Ctrl-C, 141 when whoever read the output went away (`pachctl list file … | head`).
`put file` ends with 1 also where the bytes came and the commit can't be finished (a file stands where a folder does);
it waits for that. A pachlet server says which commit a put made; at another Pachyderm the branch's head counts, which
may be somebody else's who puts into the same branch at the same time (the message has its id). Pachyderm's own
`pachctl` does not wait, and ends with 0.

A step that fails is no error of the server: its datum is tried again (`datum_tries`, three times unless the spec says
otherwise), then its job ends in state `failure` with the datum's id, and `pachctl logs` has what the step printed, or
why it could not be started; with `--master` it has the reason of the job's end. A step says what is wrong with its
data by raising `pachlet.step.BadInput`: the sentence is all that is logged.

An image's packages are installed before the first datum of the first job that needs them; the job's reason, the
pipeline's log and the server's own say so. Where the network fails, that is tried three times more within half a
minute. Then the job fails with what the installer said and the pipeline is `crashing`; the installation is tried again
by itself, at intervals of up to a minute, and a new job has what the failed one could not begin.
`pachlet stop` does not wait for an installation: it is ended, and made anew when the server is back. (An image that a
container engine is just building or pulling is waited for; Docker fetches packages itself while it builds, and once.)
"""


def classes() -> list[type[PachletError]]:
    """Return the classes of errors that a user can meet, in the order of the module."""
    found = [
        each
        for _, each in inspect.getmembers(errors, inspect.isclass)
        if issubclass(each, PachletError) and each is not PachletError
    ]
    return sorted(found, key=lambda each: inspect.getsourcelines(each)[1])


def page() -> str:
    """Return the page."""
    return _HEAD + "\n".join(_rows()) + "\n" + _TAIL


def _rows() -> Iterator[str]:
    for each in classes():
        when = " ".join((each.__doc__ or "").split())
        yield f"| `{each.__name__}` | {when} | {each.code} | {each.exit_status} |"
