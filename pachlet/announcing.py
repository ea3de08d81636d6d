"""Say in words what a job keeps and what it runs, in its log, on the command line and before an update alike.

    118 kept, made by sha256:0a1b2c3d4e5f, 2 new
    other code than now made 118 of those kept; `pachctl rerun pipeline edges --reprocess` makes them again

Code is named as pps/skipping.py writes it: the digest of an image, "+", and that of what the transform adds to it. What
comes from a Pachyderm has no second part.

Read next: pps/skipping.py (the rule), client/kept.py (what is said of any server).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

RUNS = {
    "new": "{} new",
    "changed": "{} changed",
    "reprocessed": "{} again as all are reprocessed",
    "failed": "{} that failed before",
    "recovered": "{} recovered before",
    "asked": "{} asked for",
    "code": "{} made by other code",
    "every-job": "{} again as every job runs all",
}
"""What is said of the datums that run, by why; the names are those of pps/skipping.py."""

_MOST_CODES = 3


def announce(
    kept: Mapping[str, int],
    runs: Mapping[str, int],
    *,
    now: str = "",
    gone: int = 0,
    command: str = "pachctl update pipeline --reprocess",
) -> Iterator[str]:
    """Yield what is to be said of the datums that are kept, by the code that made them, and run, by why.

    Args:
        kept: how many are kept, by code.
        runs: how many run, by why.
        now: the code that runs now; unknown if empty.
        gone: how many the job before had whose input is gone.
        command: what makes the kept ones again.
    """
    parts = [_kept(kept)] if kept else []
    parts += [RUNS[why].format(runs[why]) for why in RUNS if runs.get(why)]
    parts += [f"{gone} dropped as their input is gone"] if gone else []
    yield ", ".join(parts) or "no datums"
    others = sum(count for code, count in kept.items() if now and is_other(code, now))
    if others:
        one = "it" if others == 1 else "them"
        yield f"other code than now made {others} of those kept; `{command}` makes {one} again"


def _kept(kept: Mapping[str, int]) -> str:
    by_image: dict[str, int] = {}
    for code, count in kept.items():
        by_image[_short(code)] = by_image.get(_short(code), 0) + count
    total = f"{sum(kept.values())} kept"
    if len(by_image) == 1:
        return f"{total}, made by {next(iter(by_image))}"
    ranked = sorted(by_image.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{count} made by {name}" for name, count in ranked[:_MOST_CODES]]
    if len(ranked) > _MOST_CODES:
        rest = ranked[_MOST_CODES:]
        shown.append(f"{sum(count for _, count in rest)} by {len(rest)} others")
    return f"{total} ({', '.join(shown)})"


def is_other(code: str, now: str) -> bool:
    """Tell whether two codes are known to be different."""
    (image, _, rest), (image_now, _, rest_now) = code.partition("+"), now.partition("+")
    return image != image_now or bool(rest and rest_now and rest != rest_now)


def _short(code: str) -> str:
    image = code.partition("+")[0]
    return image[:19] if image.startswith("sha256:") else image or "code that is not recorded"
