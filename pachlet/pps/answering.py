"""Find out whether the process of a service answers yet.

It answers when a connection to its port is accepted; with the annotation `pachlet/health: /PATH`, when an HTTP GET of
that path is answered with a status below 400. It has `pachlet/answers-within`, a duration such as 300s, to do so:
loading a large model takes a while, so it is two minutes unless the pipeline says otherwise.

Read next: service_run.py (who asks), ../worker/interface.py (how a step is connected to).
"""

from __future__ import annotations

import http.client
import select
import socket
from collections.abc import Callable, Mapping
from typing import Any

from pachlet.errors import InvalidArgument

HEALTH, WITHIN = "pachlet/health", "pachlet/answers-within"
_DEFAULT_WITHIN = 120.0
_ONE_LOOK = 5.0


def health_path(spec: Mapping[str, Any]) -> str:
    """Return the path that a service answers once it is well; '' if it is enough that it accepts connections."""
    return str(_annotations(spec).get(HEALTH, ""))


def answers_within(spec: Mapping[str, Any]) -> float:
    """Return the seconds that a service has until it answers."""
    text = _annotations(spec).get(WITHIN)
    return float(str(text).removesuffix("s")) if text else _DEFAULT_WITHIN


def check_annotations(spec: Mapping[str, Any]) -> None:
    """Refuse annotations of a service that mean nothing."""
    path, within = health_path(spec), _annotations(spec).get(WITHIN)
    if path and not (path.startswith("/") and path.isascii() and path.isprintable() and " " not in path):
        raise InvalidArgument(f"annotation {HEALTH} is {path!r}; it is a path, such as /healthz")
    if within is not None:
        try:
            is_right = 0 < float(str(within).removesuffix("s")) < 1e6
        except ValueError:
            is_right = False
        if not is_right:
            raise InvalidArgument(
                f"annotation {WITHIN} is {within!r}; it is a number of seconds, such as 300s"
            )


def answers(connect: Callable[[], socket.socket], path: str) -> bool:
    """Tell whether a service answers now."""
    try:
        with connect() as made:
            select.select([], [made], [], _ONE_LOOK)
            if made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                return False
            made.settimeout(_ONE_LOOK)
            made.getpeername()  # fails where the connection is still not made
            return not path or _is_well(made, path)
    except (OSError, http.client.HTTPException):
        return False


def _is_well(made: socket.socket, path: str) -> bool:
    made.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    answer = http.client.HTTPResponse(made, method="GET")
    try:
        answer.begin()
        return answer.status < 400
    finally:
        answer.close()


def _annotations(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    return (spec.get("metadata") or {}).get("annotations") or {}
