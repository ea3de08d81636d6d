"""Have a jq filter or a jsonnet template run in a process with limits, and take its answers.

Read next: evaluator.py (that process).
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

from pachlet.errors import Refused, Unimplemented

PATIENCE = 10.0
"""Seconds that one answer may take; upstream's limit for a filter."""
_PROGRAM = Path(__file__).with_name("evaluator.py")


class Evaluator:
    """The process, from its first question to the end of a `with` block."""

    def __init__(self) -> None:
        # -I: nothing of the caller's folder or environment decides what is imported.
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(_PROGRAM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
        )

    def ask(self, question: str, what: str) -> dict[str, Any]:
        """Send one line and return the answer.

        Raises:
            Refused: there is no answer in time, or it is an error; the sentence begins with `what`.
            Unimplemented: the package that would answer is not installed.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(question.encode() + b"\n")
            self._process.stdin.flush()
            # One answer to each question: nothing of an earlier one is left in the buffer.
            if not select.select([self._process.stdout], [], [], PATIENCE)[0]:
                raise Refused(f"{what}: it took more than {PATIENCE:.0f} seconds")
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = b""
        if not line:
            raise Refused(f"{what}: it used more memory or time than it may")
        answer: dict[str, Any] = json.loads(line)
        if package := answer.get("missing"):
            raise Unimplemented(
                f"{what}: it needs the Python package {package}, which is not installed beside this server",
                hint=f"pip install 'pachlet[{package}]'",
            )
        if error := answer.get("error"):
            raise Refused(f"{what}: {error}")
        return answer

    def __enter__(self) -> Evaluator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        with self._process:
            pass
