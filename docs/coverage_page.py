"""coverage.md: every RPC of Pachyderm 2.12's services and whether it is answered, made from a server.

A server is made (on a folder of its own, answering nobody else) and asked which methods its services have, so
the page can't claim what is not there. What an answered RPC refuses by name is read from the sources: the
sentences of `Unimplemented`.

Read next: pachlet/api/handlers.py, pages.py.
"""

from __future__ import annotations

import ast
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from pachlet.api.handlers import is_implemented
from pachlet.api.small_services import InactiveService
from pachlet.config import default_envs
from pachlet.server import Server
from pachlet.wire import schema

ROOT = Path(__file__).parent.parent
ANSWERED, INACTIVE, MISSING = "answered", "not activated", "unimplemented"

_HEAD = """# Coverage

Made from the code by `make docs`. pachlet speaks the gRPC API of Pachyderm 2.12.2. Every RPC of its services is
registered: what is not implemented answers `UNIMPLEMENTED` with its name, never something wrong.

{answered} of {total} RPCs are **answered**. The services of Pachyderm's paid edition say that they are *not
activated*, as a Pachyderm without them does. The others are unimplemented. (`pachyderm.worker.Worker` is not the
server's: a worker answers its `NextDatum` to a step that asks for datum batching. A service whose name begins with
`pachlet` is an addition of ours.)

| Service | answered | not activated | unimplemented |
| --- | --- | --- | --- |
"""


def page() -> str:
    """Return the page."""
    states = {service.full_name: _states(service, implementations()) for service in schema.services()}
    flat = [state for methods in states.values() for state in methods.values()]
    text = _HEAD.format(answered=flat.count(ANSWERED), total=len(flat))
    for name, methods in states.items():
        counts = [list(methods.values()).count(state) for state in (ANSWERED, INACTIVE, MISSING)]
        text += f"| {name} | {counts[0]} | {counts[1]} | {counts[2]} |\n"
    for name, methods in states.items():
        text += f"\n## {name}\n"
        for state in (ANSWERED, INACTIVE, MISSING):
            found = [method for method, its in methods.items() if its == state]
            if found:
                text += f"\n**{state}**: {', '.join(found)}\n"
    text += "\n## Refused by name\n\nParts of the RPCs above that are refused with a sentence:\n\n"
    return text + "".join(f"- {each}\n" for each in refusals())


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
    return {
        each.name: ANSWERED if is_implemented(implementation, each.name) else MISSING
        for each in service.methods
    }


def refusals() -> list[str]:
    """Return what is refused although its RPC is answered, as the sources say it."""
    return [
        sentence
        for room in ("api", "pps")
        for path in sorted((ROOT / "pachlet" / room).glob("*.py"))
        for sentence in _sentences(ast.parse(path.read_text()))
    ]


def _sentences(tree: ast.Module) -> Iterator[str]:
    """Yield the sentences of `raise Unimplemented(...)` that are not about the RPC or the field as a whole."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)):
            continue
        call = node.exc
        if isinstance(call.func, ast.Name) and call.func.id == "Unimplemented":
            sentence = call.args[0]
            if isinstance(sentence, ast.Constant) and "not activated" not in str(sentence.value):
                yield str(sentence.value)
