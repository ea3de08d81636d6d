"""The files half of pfs_v2.API: write, read, list, walk, glob and compare.

Read next: tar_stream.py, pachlet/pfs/uploads.py.
"""

from __future__ import annotations

import itertools
import tarfile
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pachlet.api import messages
from pachlet.api.broken_streams import check_whole, checker
from pachlet.api.callers import mark_of
from pachlet.api.handlers import Context
from pachlet.api.local_service import demand, proven_transfer
from pachlet.api.local_source import SCHEME, local_path, put_local
from pachlet.api.local_target import Target, prefix_of
from pachlet.api.names import CommitName, at_most, commit_name
from pachlet.api.nonces import Nonces, Transfer
from pachlet.api.object_transfer import put_objects, write_objects
from pachlet.api.tar_stream import tar_blocks
from pachlet.api.url_source import read_url
from pachlet.egress.object_url import is_object_url
from pachlet.egress.outgoing import Outlets
from pachlet.errors import InvalidArgument, Refused, Unimplemented
from pachlet.metadb.connect import Database
from pachlet.metadb.connect import Transaction as Statements
from pachlet.paths import FILESETS_REPO, Repo, clean_path
from pachlet.pfs import commits
from pachlet.pfs.files import Files, inspect_file
from pachlet.pfs.filesets import FileSets, as_commit
from pachlet.pfs.globbing import glob_files
from pachlet.pfs.records import CommitRecord
from pachlet.pfs.transactions import Transactions
from pachlet.pfs.uploads import Upload, find_target, write_upload
from pachlet.pps.egress import outgoing_files
from pachlet.spec.validate import OBJECT_STORES
from pachlet.storage.entries import Entry
from pachlet.storage.fileset import FileSet, Info, diff_filesets

LIST_LIMIT = 100_000
BLOCK = 1 << 20


COMMIT_KEY = "pachlet-commit"
"""The trailing metadata that says which commit was written to; the answer itself, Pachyderm's, is empty."""


class FileService:
    """Answers the RPCs of pfs_v2.API that touch files.

    `refuse_pipeline_repo` raises if a repo belongs to a pipeline; PFS itself does not know of pipelines.
    """

    def __init__(
        self,
        database: Database,
        transactions: Transactions,
        files: Files,
        refuse_pipeline_repo: Callable[[Statements, Repo], None],
        nonces: Nonces,
        filesets: FileSets,
        outlets: Outlets,
    ) -> None:
        self.outlets = outlets
        self.nonces = nonces
        self.filesets = filesets
        self.database = database
        self.transactions = transactions
        self.files = files
        self.refuse_pipeline_repo = refuse_pipeline_repo

    def ModifyFile(self, requests: Iterator[Any], context: Context) -> Any:
        first = next(requests, None)
        if first is None or first.WhichOneof("body") != "set_commit":
            raise Refused("first message must be a commit")
        name = commit_name(first.set_commit)
        with self.database.read() as db:
            find_target(db, name.repo, name.id, name.branch)
        upload = Upload(self.files.store)
        upload.look_up_in(self.files, name.repo, name.id, name.branch)
        self._collect(upload, requests, context)
        upload.seal()
        upload.compare_with_head(self.files, name.repo, name.id, name.branch)
        checker(context)()
        id = write_upload(self.transactions, upload, name.repo, name.id, name.branch, mark_of(context))
        context.set_trailing_metadata(((COMMIT_KEY, id),))
        return messages.empty()

    def _collect(self, upload: Upload, requests: Iterator[Any], context: Context) -> None:
        """Apply the messages of a stream in order; those that add to one file in a row are one piece of it."""
        with proven_transfer(self.nonces, context) as transfer:
            for (kind, path, tag), group in itertools.groupby(requests, _target_of):
                if kind == "add_file":
                    upload.add(path, _raw_blocks(group), tag)
                elif kind == "add_url":
                    for request in group:
                        self._add_url(upload, request.add_file, transfer, context)
                elif kind == "delete_file":
                    for request in group:
                        upload.delete(request.delete_file.path, request.delete_file.datum)
                elif kind == "copy_file":
                    for request in group:
                        self._copy(upload, request.copy_file, context)
                else:
                    raise Refused(
                        "cannot set commit" if kind == "set_commit" else "unrecognized message type"
                    )
        check_whole(context)

    def _copy(self, upload: Upload, request: Any, context: Context) -> None:
        if not request.HasField("src"):
            raise InvalidArgument("validate recv: CopyFile.src is required")
        _, files = self._open(commit_name(request.src.commit), context)
        upload.copy(files, request.src.path, request.dst, append=request.append, tag=request.datum)

    def _open(self, name: CommitName, context: Context) -> tuple[CommitRecord, FileSet]:
        """Return a commit (or what a file set is read as) and its files; waits while it is being finished."""
        if name.repo.name == FILESETS_REPO:
            with self.database.read() as db:
                found = self.filesets.find(db, name.id)
                return as_commit(found, name.repo.project), self.filesets.open(db, found)

        def look() -> tuple[CommitRecord, FileSet] | None:
            with self.database.read() as db:
                record = name.resolve(db)
                if record.finishing is not None and record.finished is None:
                    return None
                return record, self.files.open_commit(db, record)

        return self.database.changes.until(look, context.is_active)

    def GetFile(self, request: Any, context: Context) -> Iterator[Any]:
        if is_object_url(request.URL) and not _is_local(request.URL):
            self._to_store(request, context)
            yield messages.make("google.protobuf.BytesValue", value=b"")
            return
        target = _local_target(request.URL)
        record, files = self._open(commit_name(request.file.commit), context)
        found = list(itertools.islice(_match(files, request.file.path), 2))
        if not found:
            inspect_file(files, request.file.path, record)
        if len(found) > 1:
            raise Refused("matched multiple files. Use GetFileTAR instead")
        if found[0].is_dir:
            raise Refused("cannot get directory or non-regular file. Use GetFileTAR instead")
        entries = files.file(found[0].path, request.file.datum or None)
        if not entries:
            inspect_file(self.files.open_finished(None), request.file.path, record)
        if target is not None:
            with proven_transfer(self.nonces, context) as transfer:
                place = Target(self.files, demand(transfer), checker(context))
                whole = itertools.chain.from_iterable(map(place.read, entries))
                place.write_file(target[0], _skip(whole, request.offset))
            return
        blocks = itertools.chain.from_iterable(self.files.read(each.content) for each in entries)
        is_empty = True
        for block in _skip(blocks, request.offset):
            is_empty = False
            yield messages.make("google.protobuf.BytesValue", value=block)
        if is_empty:  # python-pachyderm reads one message without asking whether there is one
            yield messages.make("google.protobuf.BytesValue", value=b"")

    def GetFileTAR(self, request: Any, context: Context) -> Iterator[Any]:
        if is_object_url(request.URL) and not _is_local(request.URL):
            self._to_store(request, context)
            # python-pachyderm reads an archive without asking whether there is one
            yield messages.make("google.protobuf.BytesValue", value=tarfile.NUL * 2 * tarfile.BLOCKSIZE)
            return
        target = _local_target(request.URL)
        record, files = self._open(commit_name(request.file.commit), context)
        found = list(_match(files, request.file.path))
        if not found and clean_path(request.file.path) != "/":
            inspect_file(files, request.file.path, record)
        tag, outermost = request.file.datum, _outermost(found)
        if target is not None:
            entries = _entries(files, outermost, tag)
            with proven_transfer(self.nonces, context) as transfer:
                Target(self.files, demand(transfer), checker(context)).write_folder(
                    target[0], entries, prefix_of(target[1])
                )
            return
        for block in _skip(tar_blocks(self.files, files, outermost, tag), request.offset):
            yield messages.make("google.protobuf.BytesValue", value=block)

    def _to_store(self, request: Any, context: Context) -> None:
        """Write what a read means to an object store, each file at its whole path below the URL."""
        if request.offset:
            raise InvalidArgument("files that go to a URL are whole: there can be no offset")
        record, files = self._open(commit_name(request.file.commit), context)
        found = list(_match(files, request.file.path))
        if not found and clean_path(request.file.path) != "/":
            inspect_file(files, request.file.path, record)
        entries = _entries(files, _outermost(found), request.file.datum)
        write_objects(request.URL, outgoing_files(self.files, entries), self.outlets, context)

    def _add_url(self, upload: Upload, request: Any, transfer: Transfer | None, context: Context) -> None:
        url = request.url.URL
        if _is_local(url):
            put_local(
                upload,
                request.path,
                url,
                demand(transfer),
                checker(context),
                recursive=request.url.recursive,
                tag=request.datum,
            )
        elif is_object_url(url):
            put_objects(upload, request, self.outlets, context)
        else:
            upload.add(request.path, read_url(url), request.datum)

    def InspectFile(self, request: Any, context: Context) -> Any:
        record, files = self._open(commit_name(request.file.commit), context)
        return messages.file_info(record, inspect_file(files, request.file.path, record))

    def ListFile(self, request: Any, context: Context) -> Iterator[Any]:
        record, files = self._open(commit_name(request.file.commit), context)
        found = files.info(clean_path(request.file.path))
        infos = iter([found] if found is not None else [])
        if found is not None and found.is_dir:
            infos = files.list_dir(clean_path(request.file.path))
        yield from map(messages.file_infos(record), _page(infos, request))

    def WalkFile(self, request: Any, context: Context) -> Iterator[Any]:
        record, files = self._open(commit_name(request.file.commit), context)
        path = clean_path(request.file.path)
        if path != "/":
            inspect_file(files, request.file.path, record)
        yield from map(messages.file_infos(record), _page(files.walk(path), request))

    def GlobFile(self, request: Any, context: Context) -> Iterator[Any]:
        record, files = self._open(commit_name(request.commit), context)
        lower, upper = request.path_range.lower, request.path_range.upper
        show = messages.file_infos(record)
        for info in glob_files(files, request.pattern):
            if info.path >= lower and (not upper or info.path < upper):
                yield show(info)

    def DiffFile(self, request: Any, context: Context) -> Iterator[Any]:
        new_record, new = self._open(commit_name(request.new_file.commit), context)
        path = clean_path(request.new_file.path)
        old_record, old, old_path = new_record, self.files.open_finished(None), path
        if request.HasField("old_file"):
            old_record, old = self._open(commit_name(request.old_file.commit), context)
            old_path = clean_path(request.old_file.path)
        elif new_record.parent is not None:
            with self.database.read() as db:
                parent = commits.get_commit(db, new_record.parent)
            old_record, old = self._open(CommitName(parent.commit.repo, parent.commit.id, ""), context)
        for before, after in diff_filesets(old, new, old_path, path, shallow=request.shallow):
            yield messages.make(
                "pfs_v2.DiffFileResponse",
                new_file=messages.file_info(new_record, after) if after else None,
                old_file=messages.file_info(old_record, before) if before else None,
            )


def _target_of(request: Any) -> tuple[str, str, str]:
    kind = request.WhichOneof("body") or ""
    if kind == "add_file":
        source = "add_url" if request.add_file.WhichOneof("source") == "url" else "add_file"
        return source, request.add_file.path, request.add_file.datum
    return kind, "", ""


def _is_local(url: str) -> bool:
    return url[: len(SCHEME)].lower() == SCHEME


def _entries(files: FileSet, infos: Iterable[Info], tag: str) -> Iterator[Entry]:
    """Yield the entries of files and of all below directories."""
    for each in infos:
        yield from (
            files.entries(each.path, tag or None) if each.is_dir else files.file(each.path, tag or None)
        )


def _local_target(url: str) -> tuple[str, str] | None:
    """Return path and query of the file:// URL that a read goes to, None if it goes to the caller."""
    if not url:
        return None
    if not _is_local(url):
        raise Unimplemented(
            f"unrecognized object store: {url.partition(':')[0]}", hint=f"one of {', '.join(OBJECT_STORES)}"
        )
    return local_path(url)


def _raw_blocks(requests: Iterable[Any]) -> Iterator[bytes]:
    return (request.add_file.raw.value for request in requests)


def _match(files: FileSet, path: str) -> Iterator[Info]:
    """Yield what a path of a read means: itself if it is there, otherwise what it matches as a glob."""
    found = files.info(clean_path(path))
    return iter([found]) if found is not None else glob_files(files, path)


def _outermost(infos: Iterable[Info]) -> Iterator[Info]:
    """Leave out what lies below a directory that is there already; `infos` are in the order of paths."""
    folder = None
    for info in infos:
        if folder is not None and info.path.startswith(folder):
            continue
        if info.is_dir:
            folder = info.path
        yield info


def _skip(blocks: Iterable[bytes], count: int) -> Iterator[bytes]:
    if count < 0:
        raise InvalidArgument(f"offset cannot be negative ({count})")
    for block in blocks:
        if count >= len(block):
            count -= len(block)
            continue
        yield block[count:] if count else block
        count = 0


def _page(infos: Iterator[Info], request: Any) -> Iterator[Info]:
    """Apply paginationMarker (exclusive), number and reverse."""
    if request.number > LIST_LIMIT:
        raise Refused(f"cannot return more than {LIST_LIMIT} files at a time")
    if request.reverse and request.number <= 0:
        raise Refused("number must be > 0 when reverse is true")
    marker = request.paginationMarker.path if request.HasField("paginationMarker") else ""
    if request.reverse:
        infos = iter(sorted(infos, key=lambda each: each.path, reverse=True))
    if marker:
        infos = (each for each in infos if (each.path < marker if request.reverse else each.path > marker))
    return itertools.islice(infos, at_most(request.number))
