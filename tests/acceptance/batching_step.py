"""A step of ours that takes its datums one after the other in one process, as an image that a test's server can run.

Read next: test_pipelines_running.py, test_verify.py.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pachlet.worker.process import ProcessRunner

ROOT = Path(__file__).resolve().parents[2]


def batching_step(
    code: Path,
    script: str,
    monkeypatch: pytest.MonkeyPatch,
    environment: Path = Path(sys.prefix),
    python: Path = Path(sys.base_prefix),
) -> dict[str, Any]:
    """Write the image of a script below `code`; return the transform that runs it, on our own packages or others."""
    for name, text in {
        "images/batch/Dockerfile": "FROM python:3.11-slim-bookworm\n"
        "COPY pachlet/step.py /app/pachlet/step.py\nCOPY batch.py /app/batch.py\n"
        "WORKDIR /app\nENV PFS_ROOT=/pfs\n",
        "batch.py": script,
        "pachlet/step.py": (ROOT / "pachlet" / "step.py").read_text(),
    }.items():
        (code / name).parent.mkdir(parents=True, exist_ok=True)
        (code / name).write_text(text)
    prepare = ProcessRunner.prepare

    def with_packages(*given: Any) -> Any:  # the step needs grpcio, which we have
        return replace(prepare(*given), environment=environment, python=python)

    monkeypatch.setattr(ProcessRunner, "prepare", with_packages)
    return {"image": "pachlet/batch", "cmd": ["python", "batch.py"], "datum_batching": True}
