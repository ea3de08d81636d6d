"""The part of pps_v2.API that makes specs of templates: Jsonnet programs, functions of texts as a rule.

Read next: evaluating.py, pachlet/spec/parse.py.
"""

from __future__ import annotations

import json
from typing import Any

from google.protobuf import json_format

from pachlet.api import messages
from pachlet.api.evaluating import Evaluator
from pachlet.api.handlers import Context
from pachlet.api.pps_part import PpsPart
from pachlet.errors import InvalidArgument, PachletError
from pachlet.spec.parse import canonical
from pachlet.wire import schema

_LARGEST = 4 << 20
"""Characters; what is answered has them twice, and a message has its limit."""


class TemplateService(PpsPart):
    """Answers RenderTemplate."""

    def RenderTemplate(self, request: Any, context: Context) -> Any:
        with Evaluator() as evaluator:
            question = {"kind": "jsonnet", "text": request.template, "arguments": dict(request.args)}
            rendered: str = evaluator.ask(json.dumps(question), "template err")["json"]
        if len(rendered) > _LARGEST:
            raise InvalidArgument(f"template err: it makes more than {_LARGEST >> 20} MiB of JSON")
        found = json.loads(rendered)
        specs = found if isinstance(found, list) else [found]
        if not all(isinstance(each, dict) for each in specs):
            raise InvalidArgument(f"not a json object or list: {rendered[:200].rstrip()}")
        return messages.make(
            "pps_v2.RenderTemplateResponse", json=rendered, specs=[_message(each) for each in specs]
        )


def _message(spec: dict[str, Any]) -> Any:
    kind = schema.message("pps_v2.CreatePipelineRequest")
    try:
        return json_format.ParseDict(canonical(spec, "template"), kind())
    except PachletError as error:
        raise InvalidArgument(f"template err: {error.message}", hint=error.hint) from None
    except json_format.ParseError as error:
        raise InvalidArgument(f"template err: {error}") from None
