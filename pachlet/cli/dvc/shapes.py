"""Read YAML of DVC's, and see that what should be a list or a mapping is one.

Read next: project.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from pachlet.errors import InvalidArgument, NotFound


def load(path: Path) -> dict[str, Any]:
    """Return the mapping that a file of YAML is.

    Raises:
        NotFound: it can't be read.
        InvalidArgument: it is no YAML, with the line and column, or no mapping.
    """
    try:
        body = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        if isinstance(error, UnicodeDecodeError):
            raise InvalidArgument(f"{path} is no text in UTF-8", hint="save it as UTF-8") from None
        raise NotFound(f"cannot read {path}: {getattr(error, 'strerror', '') or error}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else f"{path}"
        said = ", ".join(filter(None, (error.context, error.problem)))
        raise InvalidArgument(f"{where}: this is no YAML: {said}") from None
    except yaml.YAMLError as error:
        raise InvalidArgument(f"{path} is no YAML: {str(error).partition(chr(10))[0]}") from None
    except RecursionError:
        raise InvalidArgument(f"{path} is nested too deep") from None
    if not isinstance(body, dict):
        raise InvalidArgument(f"{path} is no mapping", hint="is it of DVC 1.0 or newer?")
    return body


def list_of(value: Any, what: str) -> list[Any]:
    """Return a list, empty where nothing is written; raise InvalidArgument if `what` is anything else."""
    if value is not None and not isinstance(value, list):
        raise InvalidArgument(
            f"{what}: found {_shown(value)}, wanted a list", hint="begin each item with `- `"
        )
    return value or []


def mapping_of(value: Any, what: str) -> Mapping[Any, Any]:
    """Return a mapping, empty where nothing is written; raise InvalidArgument if `what` is anything else."""
    if value is not None and not isinstance(value, Mapping):
        raise InvalidArgument(f"{what}: found {_shown(value)}, wanted a mapping", hint="write `key: value`")
    return value or {}


def _shown(value: Any) -> str:
    if isinstance(value, list | Mapping):
        return "a list" if isinstance(value, list) else "a mapping"
    text = str(value)
    return text if len(text) <= 40 else f"{text[:40]}…"
