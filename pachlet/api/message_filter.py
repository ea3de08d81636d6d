"""Choose among answers by a request's jqFilter.

A filter sees a message as clients print it with --raw: JSON with the schema's field names, enums by name, what is empty
left out. It keeps the message if the first value that it gives is neither null nor false.

Read next: evaluating.py, pipeline_service.py, job_list_service.py.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

from google.protobuf import json_format

from pachlet.api.evaluating import Evaluator

Keeps = Callable[[Any], bool]


@contextlib.contextmanager
def open_filter(text: str) -> Iterator[Keeps]:
    """Give what tells whether a message is kept; without a filter, all are.

    Raises:
        Refused: the filter is none, or fails on a message.
    """
    if not text:
        yield lambda message: True
        return
    with Evaluator() as evaluator:
        evaluator.ask(
            json.dumps({"kind": "jq", "text": text}),
            "error creating message filter function: error parsing jq filter",
        )

        def keeps(message: Any) -> bool:
            shown = json_format.MessageToDict(message, preserving_proto_field_name=True)
            return bool(
                evaluator.ask(json.dumps(shown), "error applying jq filter on proto message")["keeps"]
            )

        yield keeps
