"""Each broken spec of tests/golden/specs gives the message written beside it.

To add one: write the spec, run the test, and write its message into <name>.txt once it says what it should.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from pachlet.errors import PachletError
from pachlet.spec.defaults import effective_spec
from pachlet.spec.parse import parse_specs
from pachlet.spec.validate import validate_pipeline

SPECS = Path(__file__).parents[2] / "golden" / "specs"
BROKEN = sorted(path for path in SPECS.iterdir() if path.suffix != ".txt")


def test_there_are_many() -> None:
    assert len(BROKEN) >= 60


def apply(path: Path) -> None:
    for spec in parse_specs(path.read_bytes(), path.name):
        validate_pipeline(effective_spec(spec.json, {}, {}))


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.name)
def test_message(path: Path) -> None:
    with pytest.raises(PachletError) as caught:
        apply(path)
    error = caught.value
    message = f"{type(error).__name__}: {error}\n" + (f"hint: {error.hint}\n" if error.hint else "")
    assert message == path.with_name(path.name + ".txt").read_text()
