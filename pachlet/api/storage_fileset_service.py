"""storage.Fileset: file sets as 2.10 and later name them, read with filters, as bytes or as references to chunks.

A reference (`cdr.Ref`) says of a file: these slices of these contents, known by their BLAKE2b hashes, to be had at
these URLs. Clients keep contents that they have fetched and ask only for what they lack.

Read next: chunk_door.py (where the URLs lead), fileset_service.py.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pachlet.api import messages
from pachlet.api.chunk_door import ChunkDoor
from pachlet.api.handlers import Context
from pachlet.errors import Refused
from pachlet.globs.regex import Regex
from pachlet.pfs.files import Files
from pachlet.pfs.filesets import FileSets
from pachlet.pfs.uploads import Upload
from pachlet.storage.entries import Entry
from pachlet.storage.hashing import content_hash
from pachlet.wire import schema

_REMEMBERED = 1 << 16  # hashes of chunks, 64 bytes each


class StorageFilesetService:
    """Answers storage.Fileset."""

    def __init__(self, files: Files, filesets: FileSets, door: ChunkDoor) -> None:
        self._files = files
        self._filesets = filesets
        self._door = door
        self._blake2b_256 = schema.enum_value("cdr.HashAlgo", "BLAKE2b_256")
        self._hash: Callable[[bytes], bytes] = functools.lru_cache(_REMEMBERED)(self._hash_chunk)

    def CreateFileset(self, requests: Iterator[Any], context: Context) -> Any:
        upload = Upload(self._files.store)
        for (kind, path), group in itertools.groupby(requests, _target_of):
            if kind == "append_file":
                upload.add(path, (each.append_file.data.value for each in group))
            elif kind == "delete_file":
                for each in group:
                    upload.delete(each.delete_file.path)
            elif kind == "copy_file":
                for each in group:
                    self._copy(upload, each.copy_file)
            else:
                raise Refused("unrecognized message type")
        return messages.make("storage.CreateFilesetResponse", fileset_id=self._filesets.create(upload))

    def _copy(self, upload: Upload, request: Any) -> None:
        with self._filesets.database.read() as db:
            source = self._filesets.open(db, self._filesets.find(db, request.fileset_id))
        upload.copy(source, request.src, request.dst or request.src, append=False)

    def ReadFileset(self, request: Any, context: Context) -> Iterator[Any]:
        for entry in self._read(request):
            blocks: Iterable[bytes] = () if request.empty_files else self._files.read(entry.content)
            is_empty = True
            for block in blocks:
                is_empty = False
                yield _piece(entry.path, block)
            if is_empty:
                yield _piece(entry.path, b"")

    def ReadFilesetCDR(self, request: Any, context: Context) -> Iterator[Any]:
        for entry in self._read(request):
            chunks = () if request.empty_files else entry.content.chunks
            refs = [self._reference(chunk, length) for chunk, length in chunks]
            whole = messages.make("cdr.Ref", concat=messages.make("cdr.Concat", refs=refs))
            yield messages.make("storage.ReadFilesetCDRResponse", path=entry.path, ref=whole)

    def RenewFileset(self, request: Any, context: Context) -> Any:
        self._filesets.renew(request.fileset_id, request.ttl_seconds)
        return messages.empty()

    def ComposeFileset(self, request: Any, context: Context) -> Any:
        id = self._filesets.compose(request.fileset_ids, request.ttl_seconds)
        return messages.make("storage.ComposeFilesetResponse", fileset_id=id)

    def ShardFileset(self, request: Any, context: Context) -> Any:
        shards = self._filesets.shards(request.fileset_id, request.num_files, request.size_bytes)
        ranges = [messages.make("storage.PathRange", lower=lower, upper=upper) for lower, upper in shards]
        return messages.make("storage.ShardFilesetResponse", shards=ranges)

    def _read(self, request: Any) -> Iterator[Entry]:
        """Yield the entries that pass all filters."""
        lower = upper = ""
        patterns = []
        for each in request.filters:
            if each.WhichOneof("filter") == "path_regex":
                patterns.append(Regex(each.path_regex))
            else:
                lower = max(lower, each.path_range.lower)
                upper = min(filter(None, (upper, each.path_range.upper)), default="")
        with self._filesets.database.read() as db:
            files = self._filesets.open(db, self._filesets.find(db, request.fileset_id))
        for entry in files.between(lower, upper):
            if all(pattern.search(entry.path) for pattern in patterns):
                yield entry

    def _reference(self, chunk: bytes, length: int) -> Any:
        http = messages.make("cdr.Ref", http=messages.make("cdr.HTTP", url=self._door.url(chunk)))
        content = messages.make("cdr.ContentHash", inner=http, algo=self._blake2b_256, hash=self._hash(chunk))
        inner = messages.make("cdr.Ref", content_hash=content)
        return messages.make("cdr.Ref", slice=messages.make("cdr.Slice", inner=inner, start=0, end=length))

    def _hash_chunk(self, chunk: bytes) -> bytes:
        return content_hash(self._files.store.read(chunk))


def _target_of(request: Any) -> tuple[str, str]:
    kind = request.WhichOneof("modification") or ""
    return kind, request.append_file.path if kind == "append_file" else ""


def _piece(path: str, data: bytes) -> Any:
    value = messages.make("google.protobuf.BytesValue", value=data)
    return messages.make("storage.ReadFilesetResponse", path=path, data=value)
