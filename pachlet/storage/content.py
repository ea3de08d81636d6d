"""Content: the bytes of one file as a list of chunks.

Canonical: a file written at once, appended to in any steps or joined from pieces has the same chunks and so
the same hash. That costs reading again only around the seams, since a cut depends on nothing before the
previous cut.

Read next: entries.py (contents in a file set), chunker.py (the cut).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from pachlet import errors
from pachlet.storage import hashing
from pachlet.storage.chunker import MIN_SIZE, split
from pachlet.storage.chunks import ChunkStore, ChunkWriter
from pachlet.storage.cutting import put_cut
from pachlet.storage.hashing import Bytes
from pachlet.storage.recutting import put_like
from pachlet.storage.source import Source

BLOCK = 1 << 20
"""Bytes that are read at one go, unless somebody can take more."""
_CHUNK = struct.Struct(">32sI")


class Content(NamedTuple):
    """The bytes of a file: size, and (hash, length) of each chunk. An empty file has no chunks."""

    size: int
    chunks: tuple[tuple[bytes, int], ...]

    @property
    def hash(self) -> bytes:
        """The hash of the file; made when asked for, because most contents are only passed on."""
        return hashing.file_hash(self.chunks)

    @classmethod
    def of(cls, chunks: Iterable[tuple[bytes, int]]) -> Content:
        """Make the content that these chunks are."""
        chunks = tuple(chunks)
        return cls(sum(length for _, length in chunks), chunks)

    def encode(self) -> bytes:
        """Return the list of chunks as bytes; size and hash follow from it."""
        if len(self.chunks) == 1:
            return _CHUNK.pack(*self.chunks[0])
        return b"".join(_CHUNK.pack(*chunk) for chunk in self.chunks)

    @classmethod
    def decode(cls, data: bytes) -> Content:
        """Return what was encoded."""
        if len(data) == _CHUNK.size:  # as of most files
            chunk: tuple[bytes, int] = _CHUNK.unpack(data)
            return cls(chunk[1], (chunk,))
        if len(data) % _CHUNK.size:
            raise errors.Corrupt("a list of chunks is cut short")
        return cls.of(_CHUNK.iter_unpack(data))


EMPTY = Content.of(())
ONE_CHUNK = MIN_SIZE
"""A file of no more bytes than this is one chunk."""


def chunk_hashes(data: bytes) -> Iterator[bytes]:
    """Yield the hashes in an encoded list of chunks; cheaper than decoding it."""
    for at in range(0, len(data), _CHUNK.size):
        yield data[at : at + hashing.SIZE]


def write_content(writer: ChunkWriter, blocks: Iterable[Bytes]) -> Content:
    """Store the bytes in `blocks`, with bounded memory."""
    return Content.of(put_cut(writer, _source(blocks)))


def write_small(writer: ChunkWriter, data: Bytes) -> Content:
    """Return the content of a small file, of at most `ONE_CHUNK` bytes, which is stored by the writer's `seal`."""
    return Content(len(data), ((writer.put_later(data), len(data)),)) if data else EMPTY


def write_together(writer: ChunkWriter, files: Sequence[bytes], *, are_new: bool = False) -> list[Content]:
    """Store many small files, of at most `ONE_CHUNK` bytes each, at one go; return their contents, in order.

    Files that `are_new` nobody can have stored before, because they say what has just happened.
    """
    digests = writer.put_together(files, are_new=are_new)
    return [
        Content(len(data), ((digest, len(data)),)) if data else EMPTY
        for data, digest in zip(files, digests, strict=True)
    ]


def write_content_like(
    store: ChunkStore, writer: ChunkWriter, blocks: Iterable[Bytes], before: Content
) -> Content:
    """Store the bytes in `blocks`, which are probably much like `before`; that only makes it faster."""
    return Content.of(put_like(store, writer, _source(blocks), before.chunks))


def _source(blocks: Iterable[Bytes]) -> Source:
    return blocks if isinstance(blocks, Source) else Source(blocks)


def concat(store: ChunkStore, writer: ChunkWriter, contents: Iterable[Content]) -> Content:
    """Join contents; chunks are read only from a seam to where the cuts agree again."""
    parts = [content for content in contents if content.size]
    if len(parts) < 2:
        return parts[0] if parts else EMPTY
    pieces = [chunk for part in parts for chunk in part.chunks]
    # The last chunk of a part may end there only because the part did; every other chunk is cut by its
    # content.
    seams, position = set(), 0
    for part in parts[:-1]:
        position += len(part.chunks)
        seams.add(position - 1)
    joined: list[tuple[bytes, int]] = []
    at = 0
    while at < len(pieces):
        if at in seams:
            try:
                recut, at = _cut_again(store, writer, pieces, at)
                joined += recut
                continue
            except errors.Purged:  # nobody will read what this is joined to; it stays cut where it was
                pass
        joined.append(pieces[at])
        at += 1
    return Content.of(joined)


def _cut_again(
    store: ChunkStore, writer: ChunkWriter, pieces: Sequence[tuple[bytes, int]], at: int
) -> tuple[list[tuple[bytes, int]], int]:
    """Cut anew from the start of piece `at`; return chunks and the piece where the cuts agree again."""
    recut = []
    ahead = 0  # bytes cut, less the bytes of the pieces that are behind us
    for chunk in split(store.read(digest) for digest, _ in pieces[at:]):
        recut.append((writer.put(chunk), len(chunk)))
        ahead += len(chunk)
        while at < len(pieces) and ahead >= pieces[at][1]:
            ahead -= pieces[at][1]
            at += 1
        if not ahead:
            break
    return recut, at


def read_content(
    store: ChunkStore, content: Content, offset: int = 0, size: int | None = None, block: int = BLOCK
) -> Iterator[bytes]:
    """Yield at most `size` bytes from `offset` on, in blocks of at most `block` bytes, none empty.

    A chunk that fits is a block as it is; others are copied, which takes as long as hashing them.
    """
    end = content.size if size is None else min(content.size, offset + size)
    wanted: list[tuple[bytes, int]] = []  # chunks, and where they start in the file
    start = 0
    for digest, length in content.chunks:
        if start < end and start + length > offset:
            wanted.append((digest, start))
        start += length
    for data, (_, start) in zip(store.read_all(digest for digest, _ in wanted), wanted, strict=True):
        first, last = max(0, offset - start), min(len(data), end - start)
        if last - first == len(data) <= block:
            yield data
            continue
        view = memoryview(data)[first:last]
        for position in range(0, len(view), block):
            yield bytes(view[position : position + block])
