"""Make docs/lint.md and docs/pipeline.schema.json: what is looked for in a spec, and its schema for editors.

Read next: pachlet/spec/rules.py, pachlet/spec/json_schema.py.
"""

from __future__ import annotations

import json

from pachlet.spec.json_schema import json_schema
from pachlet.spec.rules import RULES, Rule

_HEAD = """# Specs: what is looked for

Made from the code by `make docs`.

`pachlet lint FILES` looks at specs without a server: JSON and YAML, several documents, lists, folders, `-` for the
standard input. It finds everything that is wrong, not the first thing only, each with file, line, column, the field's
path, what was found, what is wanted and, where the meaning is plain, the line as it should be. It ends with status 1 if
there are errors. `create pipeline` and `update pipeline` look in the same way before they ask the server.

`--fix` mends what has a plain meaning and leaves the rest of the file as it is, with its order, its indentation and, in
YAML, its comments (JSON has none, so there they go); it prints a diff. `--diff` only shows it. Mending twice is mending
once. What specs of Pachyderm 1.x have is mended as far as 2.x has it: `atom`, a string as `stdin` or `cmd`, `standby`,
`chunk_spec`, `parallelism_spec.strategy`, `enable_stats`, `cache_size`, `pipelineName` and others. `git` inputs and
`build` have no successor; lint says so.

`-o json` is for editors and CI: a list of problems with `file`, `line`, `column`, `end_line`, `end_column`, `path`,
`severity`, `rule`, `message`, `hint` and, if it can be mended, `fix`, a list of edits (`start` and `end` are offsets in
characters). `--ignore RULE` leaves a rule out, `--strict` counts warnings as errors.

## A schema for editors

[pipeline.schema.json](pipeline.schema.json) is a JSON Schema (draft 7) made from the wire schema; `pachlet lint
--schema` prints the same. In VS Code, for JSON and (with its YAML extension) for YAML:

```json
{
  "json.schemas": [{"fileMatch": ["pipelines/**/*.json"], "url": "./docs/pipeline.schema.json"}],
  "yaml.schemas": {"./docs/pipeline.schema.json": "pipelines/**/*.yaml"}
}
```

A spec can't name its schema itself: Pachyderm refuses the field `$schema`.
"""

_REFUSED = """
## Errors: what Pachyderm refuses

create and update refuse these too.

"""
_OURS = """
## Errors: what Pachyderm takes and nobody means

create and update warn of these and go on, so that a spec that runs there runs here. Only an egress that could never
deliver anything is refused.

"""
_WARNINGS = """
## Warnings

"""


def page() -> str:
    """Return the page as Markdown."""
    rules = list(RULES.values())
    return (
        _HEAD
        + _REFUSED
        + _table([rule for rule in rules if not rule.ours])
        + _OURS
        + _table([rule for rule in rules if rule.ours and rule.severity == "error"])
        + _WARNINGS
        + _table([rule for rule in rules if rule.severity == "warning"])
    )


def schema() -> str:
    """Return the schema as JSON."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def _table(rules: list[Rule]) -> str:
    rows = [f"| `{rule.name}` | {rule.about} |\n" for rule in rules]
    return "| Rule | What should be |\n| --- | --- |\n" + "".join(rows)
