"""Little that a step wrote is taken into memory, and much is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from pachlet.worker.head import InputFile, Output
from pachlet.worker.outputs import take_small


@pytest.mark.parametrize(
    "sizes, is_small",
    [([], True), ([0], True), ([40_000, 25_536], True), ([40_000, 25_537], False), ([1] * 65, False)],
)
def test_little_output_is_taken_into_memory_and_much_is_not(
    tmp_path: Path, sizes: list[int], is_small: bool
) -> None:
    outputs: list[tuple[str, Output]] = []
    for number, size in enumerate(sizes):
        (tmp_path / str(number)).write_bytes(bytes([number]) * size)
        outputs.append((f"/{number}", str(tmp_path / str(number))))
    taken = take_small(outputs)
    expected = [(f"/{number}", bytes([number]) * size) for number, size in enumerate(sizes)]
    assert taken == (expected if is_small else None)


def test_a_link_to_an_input_is_not_taken_into_memory() -> None:
    assert take_small([("/a", InputFile("in/a", b"key", 1))]) is None
