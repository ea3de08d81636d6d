"""What a family of models is: how it is fitted and stored, or how it speaks without a fit.

Most families learn from frames (features.py) and become a path by recursion (forecast.py): they have `fit`. A few
have nothing that is learnt once and used later, because all they say follows from the prices up to the origin
(naive, drift, and the recipes of the originals, which are fitted anew at each origin): they have `paths`.

Read next: linear.py (the shortest that is fitted), naive.py (those that are not), training.py, walkforward.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pachlet.step import BadInput
from steps.crypto.cards import PARAMS, read_fields
from steps.crypto.feature_groups import read_groups
from steps.crypto.features import Indexes
from steps.crypto.forecast import Model
from steps.crypto.formats import read_json
from steps.crypto.series import Array, Series

Params = Mapping[str, Any]
Fit = Callable[[Array, Array, Params], Model]
# The log moves from the last price at 1..HORIZON days: a row per origin. Nothing after an origin may be used.
Paths = Callable[[Series, Indexes, Params], Array]

# Below this many known outcomes at any day ahead there is no interval worth writing down.
MIN_RESIDUALS = 30


@dataclass(frozen=True)
class Family:
    """How one family of models is fitted and stored."""

    name: str
    # The parameters that its files hold, all required. One that learns may be told beside what it is shown, in
    # "features", and which rows it learns from, in "rows".
    fields: Mapping[str, type]
    libraries: tuple[str, ...]
    file: str = ""
    fit: Fit | None = None
    save: Callable[[Model, Path], None] | None = None
    # What the fit has to say about itself (steps taken, support vectors), for the card.
    describe: Callable[[Model], dict[str, Any]] = lambda model: {}
    paths: Paths | None = None
    min_residuals: int = MIN_RESIDUALS
    # An example of what the evaluation rejects: it is scored and shown, and never a candidate.
    example: bool = False
    # The groups of features that it can be shown; none where it looks at prices by itself.
    groups: Sequence[str] = ()

    def check(self, params: Mapping[str, Any], name: str) -> None:
        """Check parameters that are said to be of this family; `name` is what messages call them.

        Nothing has a silent default: an unknown family or a misspelt name is refused with a sentence.
        """
        if params.get("family") != self.name:
            raise BadInput(f'{name}: "family" must be "{self.name}", not {params.get("family")!r}')
        fields = {key: value for key, value in params.items() if key != "family"}
        read_fields(fields, name, self.fields, {"features": list, "rows": str} if self.groups else {})
        read_groups(params, name, self.groups)

    def read(self, path: Path) -> Params:
        """Read a parameter file of this family."""
        params = read_json(path, PARAMS)
        self.check(params, f"params/{path.parent.name}/{path.name}")
        return params
