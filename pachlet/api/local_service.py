"""pachlet.v1.LocalFiles: how a client on the server's own machine shows who it is, and sees how far a call is.

Read next: nonces.py, local_source.py, local_target.py.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from pachlet.api import messages
from pachlet.api.handlers import Context
from pachlet.api.nonces import Nonces, Transfer, refusal
from pachlet.errors import NotFound
from pachlet.place import PROOF_KEY, current_umask, describe_place

_INTERVAL = 0.1  # seconds


@contextlib.contextmanager
def proven_transfer(nonces: Nonces, context: Context) -> Iterator[Transfer | None]:
    """Give the transfer of a call whose caller proves that he may do what the server may, else None.

    Raises:
        Refused: what the call shows is no proof.
    """
    shown = next((str(value) for key, value in context.invocation_metadata() if key == PROOF_KEY), None)
    if shown is None:
        yield None
        return
    with nonces.redeem(shown, context.peer()) as transfer:
        yield transfer


def demand(transfer: Transfer | None) -> Transfer:
    """Return a transfer; raise Refused where there is none."""
    if transfer is None:
        raise refusal()
    return transfer


class LocalFilesService:
    """Answers pachlet.v1.LocalFiles."""

    def __init__(self, nonces: Nonces) -> None:
        self._nonces = nonces
        self._place = describe_place()
        self._umask = current_umask()

    def Challenge(self, request: Any, context: Context) -> Any:
        id, path = self._nonces.issue(context.peer())
        return messages.make(
            "pachlet.v1.ChallengeResponse",
            id=id,
            path=str(path),
            place=self._place,
            umask=self._umask,
            address=self._nonces.address,
        )

    def Watch(self, request: Any, context: Context) -> Iterator[Any]:
        transfer = self._nonces.find(request.id)
        if transfer is None:
            raise NotFound(f"no call of challenge {request.id} is known")
        ended = False
        while not ended and context.is_active():
            ended = transfer.ended.wait(_INTERVAL)
            yield messages.make("pachlet.v1.WatchResponse", files=transfer.files, bytes=transfer.bytes)
