"""Every error that a user can meet, on one page.

A `PachletError` is for users: it carries the sentence they read, the gRPC status that a client gets, the exit
status of the command line and, where there is one, the next step. Any other exception is a bug and is reported as
such. The texts that start with lower case are the ones that Pachyderm's clients match on; see docs/errors.md.

    PachletError
    ├── InvalidArgument     the request can't be right, whatever the state of the server
    ├── NotFound            a repo, branch, commit, file, pipeline, job or datum is missing
    ├── AlreadyExists
    ├── FailedPrecondition  right request, wrong moment
    │   └── Purged          the bytes were purged, and only their tombstone is left
    ├── Refused             Pachyderm's plain validation errors (gRPC UNKNOWN, as upstream)
    ├── Unavailable         try again later
    ├── ResourceExhausted   too many of something at a time
    ├── Unimplemented       a part of Pachyderm that pachlet does not have (yet), by name
    ├── Corrupt             stored bytes that fail their check
    └── Usage               the command line's words are off
"""

from __future__ import annotations


class PachletError(Exception):
    """Something that the user can act on."""

    code = "UNKNOWN"
    exit_status = 1
    hint = ""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        if hint:
            self.hint = hint

    def __str__(self) -> str:
        return self.message


class InvalidArgument(PachletError):
    """The request can't be right, whatever the state of the server."""

    code = "INVALID_ARGUMENT"


class NotFound(PachletError):
    """The thing named in the request is not there."""

    code = "NOT_FOUND"


class AlreadyExists(PachletError):
    """The thing to be created is already there."""

    code = "ALREADY_EXISTS"


class FailedPrecondition(PachletError):
    """The request is right, but not in the present state."""

    code = "FAILED_PRECONDITION"


class Purged(FailedPrecondition):
    """The bytes were purged; who did that, when and why is in the message."""


class Refused(PachletError):
    """A plain refusal; upstream sends these with the code UNKNOWN, and clients match on the text."""

    code = "UNKNOWN"


class Unavailable(PachletError):
    """Not ready now; the same request may succeed later."""

    code = "UNAVAILABLE"


class ResourceExhausted(PachletError):
    """More of something than the server keeps up with, or a request that is too large to be read."""

    code = "RESOURCE_EXHAUSTED"


class Unimplemented(PachletError):
    """A part of Pachyderm that pachlet does not have."""

    code = "UNIMPLEMENTED"


class Corrupt(PachletError):
    """Stored bytes do not match their hash."""

    code = "DATA_LOSS"


class Usage(PachletError):
    """The words of a command are off."""

    code = "INVALID_ARGUMENT"
    exit_status = 2
