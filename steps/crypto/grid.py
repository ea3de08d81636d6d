"""Grid stage: an experiment becomes parameter files, one a trial, and a file that says which days are tried.

    /<experiment>/split.json               what trial_split.py lays out
    /<experiment>/<family>/<trial>.json    a parameter file, named by its content
    /<experiment>/refused/reason.json      in the place of both: why an experiment can't be understood

A value more in the experiment adds the files that it makes and leaves the others as they were, so their back-tests are
skipped. An experiment that can't be understood is refused here, before anything is computed; the others run, and the
table that rank makes of the refused one says what is wrong with it.

Read next: experiment.py (what is in the file), trial_split.py, trial.py.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from pachlet.step import BadInput, main
from steps.crypto.experiment import EXPERIMENT, read_plan, trials
from steps.crypto.formats import REFUSAL, read_json, write_json
from steps.crypto.split import PLANNED

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def run(inputs: Path, out: Path) -> None:
    """Write down the trials of each experiment under `inputs` (one in a datum)."""
    files = sorted((inputs / "experiments").glob("*.json"))
    if not files:
        raise BadInput("there is no experiment: put a file NAME.json into the repo experiments")
    for file in files:
        try:
            expand(file, out / file.stem)
        except BadInput as refused:
            print(refused, file=sys.stderr)
            write_json(out / file.stem / "refused/reason.json", {"schema": REFUSAL, "reason": str(refused)})


def expand(file: Path, folder: Path) -> None:
    """Write down the trials of one experiment; BadInput, and nothing written, if it can't be understood."""
    name = f"experiments/{file.name}"
    if not NAME.fullmatch(file.stem):
        raise BadInput(f"{name}: an experiment's name is of letters, digits, _, . and -")
    content = read_json(file, EXPERIMENT)
    made, plan = trials(content, name), read_plan(content, name)
    write_json(folder / "split.json", {"schema": PLANNED, **plan})
    for path, trial in made.items():
        write_json(folder / path, trial)
    print(f"{name}: {len(made)} trials")


if __name__ == "__main__":
    main(run, batching=True)
