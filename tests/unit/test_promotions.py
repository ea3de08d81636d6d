"""Which commit a rollback goes back to, by what is kept of the moves of a branch."""

from __future__ import annotations

import pytest

from pachlet.client.promotions import Promotion, earlier


def moved(text: str) -> list[Promotion]:
    """Return moves: each letter is a promotion to it, after `<` a rollback to it."""
    moves: list[Promotion] = []
    kind, head = "promote", ""
    for letter in text:
        if letter == "<":
            kind = "rollback"
            continue
        moves.append(Promotion(len(moves) + 1, kind, letter, head, "ann", "now", "why"))
        kind, head = "promote", letter
    return moves


@pytest.mark.parametrize(
    "text, back",
    [
        ("", ""),
        ("a", ""),
        ("ab", "a"),
        ("abc<b", "a"),
        ("abc<bd", "b"),
        ("abab", "a"),
        ("abab<a", "b"),
        ("abab<a<b", "a"),
        ("abab<a<b<a", ""),
        ("abcd<b", "a"),
    ],
)
def test_a_rollback_goes_one_step_back_again_and_again(text: str, back: str) -> None:
    moves = moved(text)
    assert earlier(moves, moves[-1].head if moves else "") == back
