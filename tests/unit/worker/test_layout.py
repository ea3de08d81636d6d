"""Input files are laid out, and left where they are when the next datum reads them, too."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pachlet.worker import layout
from pachlet.worker.head import InputFile
from pachlet.worker.layout import Layout


class Source:
    """Gives files whose bytes are their keys, and notes which were asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def read(self, files: Sequence[InputFile]) -> Iterator[tuple[InputFile, Iterator[bytes]]]:
        for file in files:
            self.asked.append(file.path)
            yield file, iter([file.key[:1], file.key[1:]])


def files_of(wanted: dict[str, str]) -> list[InputFile]:
    return [InputFile(path, key.encode(), len(key)) for path, key in wanted.items()]


def lying(pfs: Path) -> dict[str, str]:
    return {str(each.relative_to(pfs)): each.read_text() for each in pfs.rglob("*") if each.is_file()}


def folders(pfs: Path) -> set[str]:
    return {str(each.relative_to(pfs)) for each in pfs.rglob("*") if each.is_dir()}


def test_only_what_is_not_there_is_read(tmp_path: Path) -> None:
    source, laid = Source(), Layout(tmp_path)
    laid.lay_out(files_of({"in/a": "1", "in/d/b": "2"}), source.read)
    laid.lay_out(files_of({"in/a": "1", "in/d/b": "new", "c": "3"}), source.read)
    assert source.asked == ["in/a", "in/d/b", "in/d/b", "c"]
    assert lying(tmp_path) == {"in/a": "1", "in/d/b": "new", "c": "3"}
    laid.lay_out(files_of({"in": "now a file"}), source.read)
    assert lying(tmp_path) == {"in": "now a file"}
    assert folders(tmp_path) == set()


names = st.lists(st.sampled_from("ab"), min_size=1, max_size=3).map("/".join)
trees = st.dictionaries(names, st.sampled_from(["x", "yy", ""]), max_size=6).filter(
    lambda tree: not any(other.startswith(path + "/") for path in tree for other in tree)
)


@settings(max_examples=50)
@given(st.lists(trees, max_size=5))
def test_whatever_came_before_there_is_what_is_wanted(
    tmp_path_factory: object, steps: list[dict[str, str]]
) -> None:
    factory: pytest.TempPathFactory = tmp_path_factory  # type: ignore[assignment]
    pfs = factory.mktemp("pfs")
    laid = Layout(pfs)
    for wanted in steps:
        laid.lay_out(files_of(wanted), Source().read)
        assert lying(pfs) == wanted
        assert folders(pfs) == {
            str(parent) for path in wanted for parent in Path(path).parents if str(parent) != "."
        }


def test_a_file_that_nobody_has_open_is_written_over(tmp_path: Path) -> None:
    laid = Layout(tmp_path)
    laid.lay_out(files_of({"in/a": "a long one", "in/b": "kept"}), Source().read)
    first = (tmp_path / "in" / "a").stat().st_ino
    laid.lay_out(files_of({"in/c": "short", "in/b": "kept"}), Source().read)
    assert (tmp_path / "in" / "c").stat().st_ino == first
    assert lying(tmp_path) == {"in/c": "short", "in/b": "kept"}


@pytest.mark.parametrize("name", ["in/c", "in/d"])
def test_a_process_that_stays_goes_on_with_what_it_has_open_or_mapped(tmp_path: Path, name: str) -> None:
    laid = Layout(tmp_path)
    laid.lay_out(files_of({"in/c": "first"}), Source().read)
    with (tmp_path / "in" / "c").open("rb") as opened:
        laid.lay_out(files_of({name: "second"}), Source().read)
        assert opened.read() == b"first"
    with (tmp_path / name).open("rb") as opened:
        mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
    laid.lay_out(files_of({"in/c": "third"}), Source().read)
    assert mapped[:] == b"second"
    assert lying(tmp_path) == {"in/c": "third"}


def test_what_was_to_be_written_over_is_not_left_for_the_next(tmp_path: Path) -> None:
    def nothing(files: Sequence[InputFile]) -> Iterator[tuple[InputFile, Iterator[bytes]]]:
        raise OSError("gone")

    (tmp_path / "out").mkdir()
    laid = Layout(tmp_path)
    laid.lay_out(files_of({"in/a": "old"}), Source().read)
    with pytest.raises(OSError, match="gone"):
        laid.lay_out(files_of({"in/b": "new"}), nothing)
    laid.lay_out(files_of({"in/a": "newer"}), Source().read)
    assert lying(tmp_path) == {"in/a": "newer"}


def test_half_a_file_is_not_taken_for_a_whole_one(tmp_path: Path) -> None:
    def broken(files: Sequence[InputFile]) -> Iterator[tuple[InputFile, Iterator[bytes]]]:
        def blocks() -> Iterator[bytes]:
            yield b"half"
            raise OSError("gone")

        yield files[0], blocks()

    (tmp_path / "out").mkdir()
    laid = Layout(tmp_path)
    with pytest.raises(OSError, match="gone"):
        laid.lay_out(files_of({"in/a": "whole"}), broken)
    assert lying(tmp_path) == {}
    laid.lay_out(files_of({"in/a": "whole"}), Source().read)
    assert lying(tmp_path) == {"in/a": "whole"}
    assert (tmp_path / "out").is_dir()


def test_an_idle_session_holds_no_more_than_it_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    laid = Layout(tmp_path)
    laid.lay_out(files_of({"a": "12345"}), Source().read)
    laid.rest()
    assert lying(tmp_path) == {"a": "12345"}
    monkeypatch.setattr(layout, "KEPT_BYTES", 4)
    laid.rest()
    assert lying(tmp_path) == {}
