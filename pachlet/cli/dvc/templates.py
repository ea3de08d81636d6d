"""Fill in what dvc.yaml leaves open: `${name}` of params and vars, and the stages of a `foreach` or `matrix`.

Read next: project.py.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pachlet.cli.dvc.shapes import list_of, mapping_of
from pachlet.errors import InvalidArgument

_OPEN = re.compile(r"\$\{\s*([^}\s]+)\s*\}")


def filled_in(value: Any, known: Mapping[str, Any]) -> Any:
    """Return a value of dvc.yaml with every `${...}` in it replaced.

    Raises:
        InvalidArgument: one of them is not known.
    """
    if isinstance(value, Mapping):
        return {filled_in(key, known): filled_in(each, known) for key, each in value.items()}
    if isinstance(value, list):
        return [filled_in(each, known) for each in value]
    if not isinstance(value, str):
        return value
    if (whole := _OPEN.fullmatch(value)) is not None:
        return look_up(whole[1], known)
    return _OPEN.sub(lambda found: _as_text(look_up(found[1], known)), value)


def look_up(path: str, known: Mapping[str, Any]) -> Any:
    """Return what a dotted name stands for; `[0]` takes one of a list."""
    found: Any = known
    for part in re.findall(r"[^.\[\]]+", path):
        try:
            found = found[int(part)] if isinstance(found, list) else found[part]
        except (KeyError, IndexError, ValueError, TypeError):
            raise InvalidArgument(
                f"dvc.yaml: ${{{path}}} stands for nothing", hint="it must be in params.yaml or vars"
            ) from None
    return found


def stages_of(name: str, body: Mapping[str, Any], known: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the stages that an entry of dvc.yaml stands for, with their names."""
    what = f"dvc.yaml: stage {name}"
    if "foreach" in body:
        one = mapping_of(body.get("do"), f"{what}: do")
        for key, item in _items(filled_in(body["foreach"], known), f"{what}: foreach"):
            yield f"{name}@{key}", filled_in(one, {**known, "item": item, "key": key})
    elif "matrix" in body:
        axes = mapping_of(filled_in(body["matrix"], known), f"{what}: matrix")
        rest = {key: value for key, value in body.items() if key != "matrix"}
        choices = [list_of(each, f"{what}: matrix: {axis}") for axis, each in axes.items()]
        for chosen in itertools.product(*choices):
            item = dict(zip(axes, chosen, strict=True))
            yield f"{name}@{'-'.join(map(_as_text, chosen))}", filled_in(rest, {**known, "item": item})
    else:
        yield name, filled_in(body, known)


def _items(each: Any, what: str) -> Iterator[tuple[str, Any]]:
    """Yield key and item of each that a foreach goes through."""
    if isinstance(each, Mapping):
        yield from ((str(key), item) for key, item in each.items())
        return
    for number, item in enumerate(list_of(each, what)):
        yield (str(number) if isinstance(item, dict | list) else _as_text(item)), item


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
