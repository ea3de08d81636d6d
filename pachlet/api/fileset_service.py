"""The part of pfs_v2.API that keeps file sets, and the cache that may hold on to them.

The same file sets are known to storage.Fileset (storage_fileset_service.py).

Read next: pachlet/pfs/filesets.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pachlet.api import messages
from pachlet.api.file_service import FileService
from pachlet.api.handlers import Context
from pachlet.api.names import CommitName, commit_name
from pachlet.pfs.cache import Cache
from pachlet.pfs.uploads import Upload

_DIFF = 1


class FileSetService(FileService):
    """Answers the RPCs of pfs_v2.API that concern file sets."""

    cache: Cache

    def CreateFileSet(self, requests: Iterator[Any], context: Context) -> Any:
        upload = Upload(self.files.store)
        self._collect(upload, requests, context)
        return _created(self.filesets.create(upload))

    def GetFileSet(self, request: Any, context: Context) -> Any:
        name = commit_name(request.commit)
        self._wait_until_settled(name, context)
        if request.type == _DIFF:
            return _created(self.filesets.take_changes(name.resolve))
        return _created(self.filesets.take_all(name.resolve))

    def AddFileSet(self, request: Any, context: Context) -> Any:
        self.filesets.add_to_commit(request.file_set_id, commit_name(request.commit).resolve)
        return messages.empty()

    def RenewFileSet(self, request: Any, context: Context) -> Any:
        self.filesets.renew(request.file_set_id, request.ttl_seconds)
        return messages.empty()

    def ComposeFileSet(self, request: Any, context: Context) -> Any:
        # `compact` would only make it faster to read, at the cost of writing it anew.
        return _created(self.filesets.compose(request.file_set_ids, request.ttl_seconds))

    def ShardFileSet(self, request: Any, context: Context) -> Any:
        shards = self.filesets.shards(request.file_set_id, request.num_files, request.size_bytes)
        ranges = [messages.make("pfs_v2.PathRange", lower=lower, upper=upper) for lower, upper in shards]
        return messages.make("pfs_v2.ShardFileSetResponse", shards=ranges)

    def PutCache(self, request: Any, context: Context) -> Any:
        self.cache.put(request.key, request.value.SerializeToString(), request.file_set_ids, request.tag)
        return messages.empty()

    def GetCache(self, request: Any, context: Context) -> Any:
        value = type(messages.make("google.protobuf.Any")).FromString(self.cache.get(request.key))
        return messages.make("pfs_v2.GetCacheResponse", value=value)

    def ClearCache(self, request: Any, context: Context) -> Any:
        self.cache.clear(request.tag_prefix)
        return messages.empty()

    def ListTask(self, request: Any, context: Context) -> Iterator[Any]:
        # Tasks are work that one server of several does for another; here is only one.
        return iter(())

    def _wait_until_settled(self, name: CommitName, context: Context) -> None:
        def look() -> bool:
            with self.database.read() as db:
                record = name.resolve(db)
            return record.finishing is None or record.finished is not None

        self.database.changes.until(lambda: look() or None, context.is_active)


def _created(id: str) -> Any:
    return messages.make("pfs_v2.CreateFileSetResponse", file_set_id=id)
