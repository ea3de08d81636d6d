"""Whoever waits is told so, on stderr, and only once it lasts."""

from __future__ import annotations

import io
import threading

from pachlet.cli.progress import Progress


class Watched(io.StringIO):
    """A stream that tells when something is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = threading.Event()

    def write(self, text: str) -> int:
        count = super().write(text)
        self.written.set()
        return count


def test_a_line_is_written_while_it_lasts() -> None:
    out = Watched()
    with Progress(out, live=False, patience=0.001).waiting("creating edges"):
        assert out.written.wait(10)
    assert out.getvalue().startswith("creating edges, less than a second\n")


def test_nothing_is_written_of_what_is_over_soon() -> None:
    out = Watched()
    with Progress(out, live=False).waiting("creating edges"):
        pass
    assert not out.getvalue()


def test_it_is_redrawn_in_place_and_gone_in_the_end() -> None:
    out = Watched()
    with Progress(out, live=True, patience=0.001).waiting(lambda: "3 of 10"):
        assert out.written.wait(10)
    assert "3 of 10" in out.getvalue()
    assert out.getvalue().endswith("\x1b[1A\x1b[J")


def test_a_call_is_told_of_unless_the_verb_shows_something() -> None:
    out = Watched()
    progress = Progress(out, live=False, patience=0.001)
    with progress.calling("HOST:PORT"):
        assert out.written.wait(10)
    assert out.getvalue().startswith("waiting for HOST:PORT, less than a second\n")
    out.truncate(0)
    out.written.clear()
    with progress.waiting("creating edges"), progress.calling("HOST:PORT"):
        assert out.written.wait(10)
    assert "HOST:PORT" not in out.getvalue()
