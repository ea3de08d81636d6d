"""An experiment is one file: which days are tried, on which rows, features and label, with which methods and values.

    {"schema": "crypto.experiment/1",
     "split": {"test_days": 180, "refit_days": 30, "min_train": 40},
     "shared": {"lags": [5, 10], "features": ["lags", "volume"], "min_rows": 200, "refit_every": 3},
     "methods": [{"family": "global", "method": "lad", "ridge": [1, 100], "rows": "volume > 10000"},
                 {"family": "linear", "alpha": 1000}],
     "impact": true}

`methods` are parameter files but for two things: where a list stands for one value, each of its values is tried with
each of the others'; and what is in `shared` counts for all methods that don't say it themselves. (Of a field that is a
list by itself, `features` or a blend's `members`, a list of lists is a list of values.) With `impact`, each trial is
made once more without each of its feature groups. A trial is a parameter file like those in repo `params`, and can be
put there.

Its name is the method's and the hash of its content, so the same trial has the same name in every experiment and
whatever else is tried, and one that is there already is not run again.

Read next: grid.py (the stage), trial.py (what is done with a trial), feature_groups.py, rows.py.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

from pachlet.step import BadInput
from steps.crypto.cards import PARAMS, read_fields
from steps.crypto.families import FAMILIES
from steps.crypto.feature_groups import GROUPS, PLAIN, groups_of
from steps.crypto.global_fit import EVERY, FIELDS, check_global
from steps.crypto.panel import LABELS
from steps.crypto.rows import check_condition
from steps.crypto.split import PLAN

EXPERIMENT = "crypto.experiment/1"
KNOWN: dict[str, type] = {"split": dict, "shared": dict, "impact": bool, "max_trials": int}
MAX_TRIALS, MOST_TRIALS = 200, 10_000
# Those that learn: the others are not refitted, and what they say does not depend on features.
LEARNERS = ("global", *(name for name, family in FAMILIES.items() if family.groups))
LISTS = {"features", "members"}
DIGITS = 12  # of a name's hash
MOST_DAYS = 36_500  # of a plan's fields: beyond a hundred years there are no prices, and soon no dates

Trial = dict[str, Any]


def read_plan(content: Mapping[str, Any], name: str) -> dict[str, int]:
    """Return how split.py lays out an experiment: its own plan, but for what the experiment says."""
    said = content.get("split", {})
    plan: dict[str, int] = read_fields({**PLAN, **said}, f"{name}, split", dict.fromkeys(PLAN, int))
    for field, days in plan.items():
        if days > MOST_DAYS:
            raise BadInput(f"{name}, split: {field!r} must not be above {MOST_DAYS} days, not {days}")
    if plan["refit_days"] > plan["test_days"]:
        raise BadInput(f"{name}, split: 'refit_days' must not be above 'test_days', {plan['test_days']}")
    return plan


def trials(content: Mapping[str, Any], name: str) -> dict[str, Trial]:
    """Return an experiment's trials by the path of their parameter file, `family/name.json`."""
    read_fields(dict(content), name, {"methods": list}, KNOWN)
    most = content.get("max_trials", MAX_TRIALS)
    if not 0 < most <= MOST_TRIALS:
        raise BadInput(f"{name}: 'max_trials' must be from 1 to {MOST_TRIALS}, not {most!r}")
    if not content["methods"]:
        raise BadInput(f"{name}: 'methods' names none: there is nothing to try")
    tried = [(listed(content, each, where), where) for each, where in methods(content, name)]
    refuse_explosion(name, {where: math.prod(map(len, values.values())) for values, where in tried}, most)
    made: dict[str, Trial] = {}
    for values, where in tried:
        for chosen in product(*values.values()):
            trial = checked(dict(zip(values, chosen, strict=True)), where)
            made[path_of(trial)] = trial
    for condition in sorted({trial["rows"] for trial in made.values() if "rows" in trial}):
        try:
            check_condition(condition)
        except BadInput as refused:
            raise BadInput(f"{name}: {refused}") from refused
    if content.get("impact", False):
        if all(len(groups_of(trial)) < 2 for trial in made.values()):
            raise BadInput(f"{name}: 'impact' leaves out one group of 'features', and no trial has two")
        made |= {path_of(each): each for trial in list(made.values()) for each in without_each(trial)}
        refuse_explosion(name, {f"{name}, with those without a group": len(made)}, most)
    return made


def methods(content: Mapping[str, Any], name: str) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Yield each method, and what messages call it."""
    for number, method in enumerate(content["methods"], start=1):
        where = f"{name}, method {number}"
        if not isinstance(method, dict):
            raise BadInput(f"{where} must be parameters of a model, not {method!r}")
        family = method.get("family")
        if family not in LEARNERS:
            known = f"those that learn: {', '.join(LEARNERS)}"
            raise BadInput(f"{where}: there is no family {family!r} to experiment with; {known}")
        if family == "global" and (
            not isinstance(method.get("method"), str) or method["method"] not in FIELDS
        ):
            raise BadInput(
                f"{where}: there is no method {method.get('method')!r}; known: {', '.join(FIELDS)}"
            )
        yield method, f"{where} ({family}{'.' + method['method'] if family == 'global' else ''})"


def listed(content: Mapping[str, Any], method: Mapping[str, Any], where: str) -> dict[str, list[Any]]:
    """Return the values to try of each field of a method."""
    found: dict[str, list[Any]] = {}
    for field, value in {**content.get("shared", {}), **method}.items():
        several = isinstance(value, list)
        if several and field in LISTS:
            several = bool(value) and all(isinstance(each, list) for each in value)
        if several and not value:
            raise BadInput(f"{where}: {field!r} is an empty list: there is nothing to try")
        found[field] = value if several else [value]
    return found


def refuse_explosion(name: str, counts: Mapping[str, int], most: int) -> None:
    """Raise BadInput if there are more trials than an experiment may have."""
    total = sum(counts.values())
    if total > most:
        each = "; ".join(f"{where}: {count:,}" for where, count in counts.items())
        raise BadInput(
            f"{name} makes {total:,} trials, more than {most:,} ({each}); try fewer values, or raise 'max_trials'"
        )


def checked(params: Trial, where: str) -> Trial:
    """Check one trial; return it in the one form that its content has."""
    params = {"schema": PARAMS, **params}
    if params["schema"] != PARAMS:
        raise BadInput(f"{where}: the schema of parameters is {PARAMS!r}, not {params['schema']!r}")
    if params["family"] == "global":
        params = {"rows": "", **params}
        check_global(params, where)
        kinds = {**EVERY, **FIELDS[params["method"]]}
    else:
        family = FAMILIES[params["family"]]
        family.check(params, where)
        kinds = dict(family.fields)
    return plain(in_one_form(params, kinds))


def in_one_form(params: Mapping[str, Any], kinds: Mapping[str, type]) -> Trial:
    """Write 1 as 1.0 where a fraction is meant, in a blend's members too."""
    found = {key: float(value) if kinds.get(key) is float else value for key, value in params.items()}
    if "members" in found:
        found["members"] = [in_one_form(each, FIELDS[each["method"]]) for each in found["members"]]
    return found


def plain(params: Trial) -> Trial:
    """Leave out what says no more than its absence, and name groups in one order."""
    groups = tuple(each for each in GROUPS if each in groups_of(params))
    rest = {key: value for key, value in params.items() if key not in ("features", "label")}
    if params["family"] != "global" and not rest.get("rows", "").strip():
        rest.pop("rows", None)
    features = {} if groups == PLAIN else {"features": list(groups)}
    label = {} if params.get("label", LABELS[0]) == LABELS[0] else {"label": params["label"]}
    return {**rest, **features, **label}


def without_each(trial: Trial) -> Iterator[Trial]:
    """Yield a trial without each of its feature groups, if it has more than one."""
    groups = groups_of(trial)
    if len(groups) > 1:
        for left in groups:
            yield plain({**trial, "features": [each for each in groups if each != left]})


def path_of(trial: Trial) -> str:
    """Name a trial's parameter file by its content."""
    text = json.dumps(trial, sort_keys=True, ensure_ascii=False)
    digest = hashlib.sha256(text.encode()).hexdigest()[:DIGITS]
    method = f"{trial['method']}-" if trial["family"] == "global" else ""
    return f"{trial['family']}/{method}{digest}.json"
