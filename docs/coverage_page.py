"""coverage.md: every RPC of Pachyderm 2.12's services and whether it is answered, made from a server.

A server is made (on a folder of its own, answering nobody else) and asked which methods its services have, so
the page can't claim what is not there. What an answered RPC refuses by name stands beside it in the code.

Read next: pachlet/api/handlers.py, pachlet/api/lacking.py, pages.py.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from pachlet.api.handlers import INSTEAD, is_implemented
from pachlet.api.lacking import ALL, NOT_ACTIVATED, lacks
from pachlet.api.small_services import InactiveService
from pachlet.config import default_envs
from pachlet.server import Server
from pachlet.wire import schema

ROOT = Path(__file__).parent.parent
ANSWERED, PARTLY, INACTIVE, MISSING = "answered", "answered in part", "not activated", "unimplemented"
STATES = (ANSWERED, PARTLY, INACTIVE, MISSING)

_HEAD = """# Coverage

Made from the code by `make docs`. pachlet speaks the gRPC API of Pachyderm 2.12.2. Every RPC of its services is
registered: what is not implemented answers `UNIMPLEMENTED` with its name, never something wrong.

{answered} of {total} RPCs are **answered**, and {partly} more **in part**: what is missing of them answers
`UNIMPLEMENTED` with its name too. The services of Pachyderm's paid edition say that they are *not activated*, as a
Pachyderm without them does. The others are unimplemented. (`pachyderm.worker.Worker` is not the server's: a worker
answers its `NextDatum` to a step that asks for datum batching. A service whose name begins with `pachlet` is an
addition of ours.)

| Service | answered | in part | not activated | unimplemented |
| --- | --- | --- | --- | --- |
"""


def page() -> str:
    """Return the page."""
    made = implementations()
    states = {service.full_name: _states(service, made) for service in schema.services()}
    flat = [state for methods in states.values() for state in methods.values()]
    text = _HEAD.format(answered=flat.count(ANSWERED), partly=flat.count(PARTLY), total=len(flat))
    for name, methods in states.items():
        counts = [list(methods.values()).count(state) for state in STATES]
        text += f"| {name} | {' | '.join(map(str, counts))} |\n"
    for name, methods in states.items():
        text += f"\n## {name}\n"
        for state in STATES:
            found = [method for method, its in methods.items() if its == state]
            if found and state == PARTLY:
                text += "".join(
                    f"\n**{state}**: {each}, without {'; '.join(lacks(made[name], each))}\n" for each in found
                )
            elif found:
                text += f"\n**{state}**: {', '.join(found)}\n"
                text += "".join(
                    f"\nIn the place of {each}: {hint}.\n"
                    for each in found
                    if (hint := INSTEAD.get(f"{name}/{each}"))
                )
    return text


def implementations() -> Mapping[str, object]:
    """Return the services of a server."""
    if not _made:
        with tempfile.TemporaryDirectory() as folder:
            server = Server(Path(folder), host="127.0.0.1", port=0, workers=1, code=ROOT, envs=default_envs())
            server.start()
            _made.update(server.services)
            server.stop()
    return _made


_made: dict[str, object] = {}


def _states(service: schema.Service, made: Mapping[str, object]) -> dict[str, str]:
    implementation = made.get(service.full_name)
    if isinstance(implementation, InactiveService):
        return {each.name: INACTIVE for each in service.methods}
    return {each.name: _state(implementation, each.name) for each in service.methods}


def _state(implementation: object, method: str) -> str:
    if not is_implemented(implementation, method):
        return MISSING
    missing = lacks(implementation, method)
    return {(): ANSWERED, (NOT_ACTIVATED,): INACTIVE, (ALL,): MISSING}.get(missing, PARTLY)
