"""docs/security.md names each attack, and only tests that there are.

Read next: attacks.py.
"""

from __future__ import annotations

import re
from pathlib import Path

from tests.security.attacks import ATTACKS
from tests.security.test_sandbox import FOR_CONTROL

ROOT = Path(__file__).parents[2]
TABLES = [line for line in (ROOT / "docs" / "security.md").read_text().splitlines() if line.startswith("| ")]


def test_each_attack_is_in_a_row() -> None:
    named = [each for line in TABLES for each in re.findall(r"\*([^*]+)\*", line)]
    assert sorted(named) == sorted(ATTACKS.keys() - FOR_CONTROL)


def test_each_test_that_a_row_names_is_there() -> None:
    there = {
        name
        for path in (ROOT / "tests").rglob("*.py")
        for name in re.findall(r"def (test_\w+)", path.read_text())
    }
    named = {each for line in TABLES for each in re.findall(r"`(test_\w+)`", line)}
    assert named
    assert named <= there
