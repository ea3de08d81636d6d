"""The seed's own job on Celery: a task for each coin, as its manager sent them; nothing is versioned or recorded.

    python -m benchmarks.forecast_celery linear PRICES OUT      the manager: sends all, waits, writes the results

FORECAST_BROKER has the broker's address, FORECAST_RESULTS where results go. Prices are sent in the messages there;
here the path is, which is less.

Read next: forecast_models.py (the models), forecasts.py (who starts broker, workers and manager).
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from celery import Celery  # type: ignore[import-not-found, import-untyped, unused-ignore]

from benchmarks.forecast_models import forecast_file

app = Celery("forecasts", broker=os.environ["FORECAST_BROKER"], backend=os.environ["FORECAST_RESULTS"])
predict_task = app.task(forecast_file, name="predict")


def main(name: str, prices: str, out: str) -> None:
    """Have every coin forecast."""
    sources = sorted(Path(prices).iterdir())
    waiting = [predict_task.delay(name, str(source)) for source in sources]
    for source, each in zip(sources, waiting, strict=True):
        Path(out, f"{source.stem}.json").write_text(json.dumps(each.get()))


if __name__ == "__main__":
    main(*sys.argv[1:])
