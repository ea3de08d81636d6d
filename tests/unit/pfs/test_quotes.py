"""Lines of a file in what steps printed."""

from __future__ import annotations

from typing import SupportsIndex

from hypothesis import given
from hypothesis import strategies as st

from pachlet.pfs.quotes import SHORTEST, Quotes

# Few letters, so that lines begin alike and messages hold parts of them.
lines = st.lists(st.text("ab ", min_size=0, max_size=20), max_size=30)


def is_quoted(known: set[str], message: str) -> bool:
    return any(
        message.startswith(line, at) or line.startswith(message[at:].rstrip())
        for at in range(len(message) - SHORTEST + 1)
        for line in known
        if line[:SHORTEST] == message[at : at + SHORTEST]
    )


@given(lines, st.lists(st.text("ab ", max_size=40), max_size=5))
def test_a_quote_is_a_whole_line_or_a_piece_that_ends_the_message(
    told: list[str], messages: list[str]
) -> None:
    quotes = Quotes()
    for line in told:
        quotes.add([line.encode()])
    known = {line.strip() for line in told if len(line.strip()) >= SHORTEST}
    for message in [*messages, *(f"b{line}a" for line in told)]:
        assert quotes.are_in(message) == is_quoted(known, message)


class Message(str):
    """A message that counts how often it is looked at."""

    looks = 0

    def __getitem__(self, key: SupportsIndex | slice) -> str:
        self.looks += 1
        return super().__getitem__(key)

    def startswith(self, *words: object) -> bool:
        self.looks += 1
        return super().startswith(*words)  # type: ignore[arg-type]


def test_a_message_is_not_compared_with_each_line_of_a_table() -> None:
    quotes = Quotes()
    quotes.add([b"".join(b"BTCUSDT,2024-01-01,%d\n" % number for number in range(10_000))])
    message = Message("the price of BTCUSDT,2024-01-01 is odd")
    assert not quotes.are_in(message)
    assert message.looks < 100
    assert quotes.are_in("odd: BTCUSDT,2024-01-01,77 is too high")
    assert quotes.are_in("odd: BTCUSDT,2024-01-01,99")
