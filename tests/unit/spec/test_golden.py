"""Each broken spec of tests/golden/specs is refused by a server with the message written beside it, in <name>.txt.

To add one: write the spec, then `python -m tests.unit.spec.test_golden` for what a server says and
`python -m tests.golden.test_lint` for what lint says, and read both.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from pachlet.errors import PachletError
from pachlet.spec.defaults import effective_spec
from pachlet.spec.parse import parse_specs
from pachlet.spec.validate import validate_pipeline

SPECS = Path(__file__).parents[2] / "golden" / "specs"
BROKEN = sorted(path.with_suffix("") for path in SPECS.glob("*.txt"))


def test_there_are_many() -> None:
    assert len(BROKEN) >= 60


def apply(path: Path) -> None:
    for spec in parse_specs(path.read_bytes(), path.name):
        validate_pipeline(effective_spec(spec.json, {}, {}))


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.name)
def test_message(path: Path) -> None:
    with pytest.raises(PachletError) as caught:
        apply(path)
    assert message(caught.value) == path.with_name(path.name + ".txt").read_text()


def message(error: PachletError) -> str:
    return f"{type(error).__name__}: {error}\n" + (f"hint: {error.hint}\n" if error.hint else "")


def write_messages() -> None:
    """Write the message of each spec that a server refuses."""
    for path in SPECS.iterdir():
        if path.suffix in (".json", ".yaml"):
            try:
                apply(path)
            except PachletError as error:
                path.with_name(path.name + ".txt").write_text(message(error))


if __name__ == "__main__":
    write_messages()
