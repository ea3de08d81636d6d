"""Choose among answers by what a request's jqFilter says.

Read next: pipeline_service.py, job_list_service.py.
"""

from __future__ import annotations

from pachlet.errors import Unimplemented


def refuse_filter(text: str) -> None:
    """Raise for a request that has a filter."""
    if text:
        raise Unimplemented("jqFilter is not implemented by pachlet", hint="use -o json and filter with jq")
