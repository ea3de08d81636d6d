"""Where a file that was made again differs: its field, its cell, or its byte."""

from __future__ import annotations

import pytest

from pachlet.pps.proving.differing import compare


@pytest.mark.parametrize(
    "path, now, stored, difference",
    [
        ("/a.json", b'{"a": 1}', b'{"a": 1}', ""),
        (
            "/a.json",
            b'{"a": [{"b": 1.5}]}',
            b'{"a": [{"b": 1.25}]}',
            "field a[0].b is 1.5, stored is 1.25",
        ),
        ("/a.json", b'{"b": 1}', b'{"a": 2}', "field a is not there, stored is 2"),
        ("/a.json", b'{"a": 2, "b": 1}', b'{"a": 2}', "field b is 1, and not there in what is stored"),
        ("/a.json", b"[1, 2]", b"[1]", "the value has 2 items, stored are 1"),
        ("/a.json", b"1", b"1.0", "the value is 1, stored is 1.0"),
        ("/a.json", b'{"a": NaN}', b'{"a":NaN}', "byte 5 is 0x20, stored is 0x4e"),
        ("/a.json", b"no json", b"not json", "byte 2 is 0x20, stored is 0x74"),
        ("/a.jsonl", b'{"a": 1}\n{"a": 3}\n', b'{"a": 1}\n{"a": 2}\n', "line 2: field a is 3, stored is 2"),
        ("/a.csv", b"x,y\n1,2\n", b"x,y\n1,3\n", 'row 2, column y is "2", stored is "3"'),
        ("/a.csv", b"x,y\n1,2\n", b"x,z\n1,2\n", 'row 1, column 2 is "y", stored is "z"'),
        ("/a.csv", b"x\n1\n2\n", b"x\n1\n", "it has 3 rows, stored are 2"),
        ("/a.tsv", b"x\ty\n", b"x\n", "row 1 has 2 cells, stored are 1"),
        ("/a.bin", b"abc", b"abd", "byte 2 is 0x63, stored is 0x64"),
        ("/a.bin", b"ab", b"abc", "it ends after 2 bytes, where 3 are stored"),
        ("/a.bin", b"abc", b"", "it goes on after the 0 bytes that are stored, to 3"),
        ("/a.csv", b"\xff", b"x", "byte 0 is 0xff, stored is 0x78"),
    ],
)
def test_first_difference_in_the_file_s_own_terms(
    path: str, now: bytes, stored: bytes, difference: str
) -> None:
    for size in (1, 2, 100):  # of the blocks that it is read in
        blocks = [now[at : at + size] for at in range(0, len(now), size)]
        found = compare(path, lambda blocks=blocks: blocks, lambda: [stored[:1], stored[1:]])
        assert found.difference == difference


def test_difference_far_into_a_large_file_is_found_to_the_byte() -> None:
    stored = bytes(range(256)) * 40_000
    now = bytearray(stored)
    now[7_654_321] ^= 1
    found = compare("/a.bin", lambda: [bytes(now)], lambda: [stored[:5_000_000], stored[5_000_000:]])
    assert found.difference == f"byte 7654321 is 0x{now[7_654_321]:02x}, stored is 0x{stored[7_654_321]:02x}"
    same = compare("/a.bin", lambda: [bytes(now)], lambda: [bytes(now)])
    assert (same.difference, same.digest) == ("", found.digest)


def test_what_is_not_stored_differs_and_has_a_digest() -> None:
    found = compare("/a", lambda: [b"x"], None)
    assert found.difference == "it is not in the commit"
    assert found.digest == compare("/a", lambda: [b"x"], lambda: [b"x"]).digest
