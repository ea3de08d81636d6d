"""What `lint` says of each broken spec of tests/golden/specs: all that is wrong with it, and how it should be.

<name>.lint holds what is printed, the summary, and what is left once `--fix` has mended what it can. To make the
files anew after a change that is meant: `python -m tests.golden.test_lint`, then read the difference.
"""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path

import pytest

from pachlet.cli import main
from pachlet.cli.session import Session

SPECS = Path(__file__).parent / "specs"
BROKEN = sorted(path for path in SPECS.iterdir() if path.suffix in (".json", ".yaml"))
FROM_ISSUES = {"p2651", "p3072", "p1904", "p429", "p5186", "p3769", "p3412"}


def run(*words: str) -> str:
    """Return what a command prints, first its output and then what it says, with its status."""
    out, err = io.StringIO(), io.StringIO()
    status = main.run(Session({}, out=out, err=err, input=io.BytesIO()), list(words))
    return f"{out.getvalue()}{err.getvalue()}(status {status})\n"


def printed(path: Path, folder: Path) -> str:
    """Return what lint says of a spec, what it changes and what it says then."""
    shutil.copy(path, folder / path.name)
    before = Path.cwd()
    os.chdir(folder)
    try:
        return "".join(
            f"$ pachctl lint {flags}{path.name}\n{run('lint', *flags.split(), path.name)}"
            for flags in ("", "--fix ")
        )
    finally:
        os.chdir(before)


def test_there_are_many_and_those_of_the_issues() -> None:
    assert len(BROKEN) >= 60
    assert {path.name.partition("-")[0] for path in BROKEN} >= FROM_ISSUES


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.name)
def test_lint_says(path: Path, tmp_path: Path) -> None:
    assert printed(path, tmp_path) == path.with_name(path.name + ".lint").read_text()


def write_all() -> None:
    """Write what lint says now."""
    import tempfile

    for path in BROKEN:
        with tempfile.TemporaryDirectory() as folder:
            path.with_name(path.name + ".lint").write_text(printed(path, Path(folder)))


if __name__ == "__main__":
    write_all()
