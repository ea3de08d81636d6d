"""What a step left in /pfs/out is brought in whatever permissions it has."""

from __future__ import annotations

import ctypes
import errno
import struct
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Any

import pytest

from pachlet.pps import datum_folder
from pachlet.worker.outputs import find_outputs
from pachlet.worker.scratch import empty

_VERSION = 0x20080522
_OVERRIDES = 0b110  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


@pytest.fixture
def as_an_ordinary_user() -> Iterator[None]:
    """Take from this thread, if it is root's, the right to read what permissions forbid."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, before = struct.pack("Ii", _VERSION, 0), ctypes.create_string_buffer(24)
    assert libc.capget(header, before) == 0
    words = list(struct.unpack("6I", before.raw))  # effective, permitted, inheritable; twice
    words[0] &= ~_OVERRIDES
    assert libc.capset(header, struct.pack("6I", *words)) == 0
    yield
    assert libc.capset(header, before) == 0


@pytest.fixture
def pfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A datum's folder; contents are brought in as their bytes."""
    (tmp_path / "out" / "a" / "b").mkdir(parents=True)
    (tmp_path / "out" / "a" / "b" / "c").write_bytes(b"c")
    (tmp_path / "out" / "d").write_bytes(b"d")
    monkeypatch.setattr(datum_folder, "write_content", lambda writer, blocks: b"".join(blocks))
    return tmp_path


CLOSED = ["out", "out/a", "out/a/b", "out/a/b/c", "out/d"]


@pytest.mark.usefixtures("as_an_ordinary_user")
@pytest.mark.parametrize("mode", [0, 0o111, 0o444])
@pytest.mark.parametrize("closed", [*([each] for each in CLOSED), CLOSED])
def test_closed_folders_and_files_are_read_and_removed(pfs: Path, closed: list[str], mode: int) -> None:
    for path in reversed(closed):
        (pfs / path).chmod(mode)
    nothing: Any = None
    outputs = find_outputs(lambda path: f"{pfs}/{path.removeprefix('/pfs/')}", {})
    found: list[Any] = datum_folder.bring_in(nothing, nothing, outputs, ())
    assert found == [("/a/b/c", b"c"), ("/d", b"d")]
    for path in reversed(closed):
        (pfs / path).chmod(mode)
    empty(pfs / "out")
    assert list((pfs / "out").iterdir()) == []


def test_a_read_that_is_short_is_not_taken_for_the_last(pfs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Ill(FileIO):
        """A file on a disk that gives a few bytes at a time, and then none."""

        left = 2

        def read(self, size: int | None = -1, /) -> bytes:
            self.left -= 1
            if self.left < 0:
                raise OSError(errno.EIO, "Input/output error")
            return super().read(3)

    monkeypatch.setattr(datum_folder, "open_file", Ill)
    nothing: Any = None
    (pfs / "out" / "d").write_bytes(b"123456")
    assert datum_folder.bring_in(nothing, nothing, [("/d", str(pfs / "out" / "d"))], ()) == [
        ("/d", b"123456")
    ]
    (pfs / "out" / "d").write_bytes(b"1234567")
    with pytest.raises(OSError, match="Input/output error"):
        datum_folder.bring_in(nothing, nothing, [("/d", str(pfs / "out" / "d"))], ())
