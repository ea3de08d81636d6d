"""Entries: what a file set keeps of each file, and how that goes into a tree.

There is one entry per path and tag; the tag is the datum that wrote it. A key is the path, a NUL and the
tag, so keys sort as paths do, a directory's files lie together, and the tag is the label that nodes leave
out of their digests.

    value = size u64 | 0 | chunks (hash, length u32 each)
          | size u64 | 1 | hash of the file | hash of a node that holds "C" and the chunks

The second form is for files of many chunks, so that no neighbour of a large file pays for its list. Numbers
are big-endian. Whoever walks a tree to see what it needs must follow the second form to its node.

Read next: diffs.py (how entries come about), fileset.py (how they are read).
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from pachlet import errors
from pachlet.storage import hashing
from pachlet.storage.content import Content
from pachlet.storage.nodes import NodeStore, value_size

DEFAULT_TAG = "default"

_HEAD = struct.Struct(">QB")
_INLINE, _NODE = 0, 1
_INLINE_CHUNKS = 16


class Entry(NamedTuple):
    """A file as one datum wrote it."""

    path: str
    tag: str
    content: Content


def encode_key(path: str, tag: str) -> bytes:
    """Return the key of an entry."""
    return b"%b\0%b" % (path.encode(), tag.encode())


def decode_key(key: bytes) -> tuple[str, str]:
    """Return the path and the tag of a key."""
    path, _, tag = key.partition(b"\0")
    return path.decode(), tag.decode()


def keys_below(prefix: str) -> tuple[bytes, bytes]:
    """Return the range of the keys whose paths begin with `prefix`, which is not empty."""
    start = prefix.encode()
    return start, start[:-1] + bytes([start[-1] + 1])


def keys_of(path: str) -> tuple[bytes, bytes]:
    """Return the range of the keys of one file, whatever the tag."""
    return path.encode() + b"\0", path.encode() + b"\1"


def encode_value(content: Content, nodes: NodeStore) -> bytes:
    """Return the value for a content; a long list of chunks goes to `nodes`."""
    if len(content.chunks) <= _INLINE_CHUNKS:
        return _HEAD.pack(content.size, _INLINE) + content.encode()
    data = b"C" + content.encode()
    hash = hashing.node_hash(data)
    nodes.put_nodes([(hash, data)])
    return _HEAD.pack(content.size, _NODE) + content.hash + hash


def decode_value(value: bytes, nodes: NodeStore) -> Content:
    """Return the content that a value stands for."""
    if value[_HEAD.size - 1] == _INLINE:
        return Content.decode(value[_HEAD.size :])
    hash = value[_HEAD.size + hashing.SIZE :]
    data = nodes.get_node(hash)
    if hashing.node_hash(data) != hash:
        raise errors.Corrupt(f"node {hash.hex()} of a file tree is damaged")
    return Content.decode(data[1:])


def describe_value(value: bytes) -> tuple[int, bytes]:
    """Return the size and the hash of the file that a value stands for, without reading anything."""
    if value[_HEAD.size - 1] == _INLINE:
        return value_size(value), Content.decode(value[_HEAD.size :]).hash
    return value_size(value), value[_HEAD.size : _HEAD.size + hashing.SIZE]


def references(value: bytes) -> tuple[bytes | None, bytes]:
    """Return what a value refers to: the node that holds its list of chunks, or else the encoded list."""
    if value[_HEAD.size - 1] == _INLINE:
        return None, value[_HEAD.size :]
    return value[_HEAD.size + hashing.SIZE :], b""
