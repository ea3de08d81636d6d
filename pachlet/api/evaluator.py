"""Run what a user wrote, a jq filter or a jsonnet template, in a process of its own; a program, not a module to import.

Such a text may compute for ever, fill the memory, read files or the environment. So it runs with limits, in an empty
environment, and once its library is loaded no file can be opened any more. A request is a line of JSON, and so is each
answer.

Read next: evaluating.py (who starts this).
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Iterator
from typing import Any

_MEMORY = 1 << 30
_CPU_SECONDS = 120


def main() -> None:
    """Answer the requests on stdin."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    first = json.loads(sys.stdin.readline())
    for answer in {"jq": _filter, "jsonnet": _render}[first["kind"]](first):
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _open_no_files() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))


def _filter(first: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Tell of each line on stdin whether the first thing that a jq program makes of it is there and true."""
    try:
        import jq
    except ImportError:
        yield {"missing": "jq"}
        return
    _open_no_files()
    try:
        program = jq.compile(first["text"])
    except ValueError as error:
        yield {"error": str(error)}
        return
    yield {"keeps": True}
    for line in sys.stdin:
        try:
            found = next(iter(program.input_text(line)), None)
        except (ValueError, MemoryError) as error:
            yield {"error": str(error) or "not enough memory"}
        else:
            yield {"keeps": found is not None and found is not False}


def _render(first: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Give what a jsonnet program makes of its arguments, as a text."""
    try:
        import _jsonnet
    except ImportError:
        yield {"missing": "jsonnet"}
        return
    _open_no_files()

    def refuse(folder: str, name: str) -> tuple[str, bytes]:
        raise RuntimeError("a template can't import other files here")

    try:
        yield {
            "json": _jsonnet.evaluate_snippet(
                "main", first["text"], tla_vars=first["arguments"], import_callback=refuse
            )
        }
    except (RuntimeError, MemoryError) as error:
        yield {"error": str(error) or "not enough memory"}


if __name__ == "__main__":
    main()
