"""Put files: local files, folders, streams, archives and URLs, many in one stream.

One ModifyFile stream is one step for the server: all files appear or none. Each file is replaced (deleted,
then added piece by piece) unless it is to be appended to. Where files land follows pachctl to the letter,
because people have scripts. A server on this machine that knows us for its user reads folders and large files
itself; the result is the same.

Read next: local_files.py, get_file.py; pfs's side of it is pachlet/pfs/uploads.py.
"""

from __future__ import annotations

import itertools
import os
import posixpath
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from pachlet.client import names
from pachlet.client.authorship import STREAM, header, marking, sources
from pachlet.client.connection import COMMIT_KEY, PAYLOAD_LIMIT, Connection, Metadata
from pachlet.client.local_files import Pass, ask_for_pass, source_url, watched
from pachlet.errors import Refused, Usage
from pachlet.ids import is_commit_id
from pachlet.local_files import Blocks, cannot_read, check_name, files_below, refuse_endless

if TYPE_CHECKING:
    import tarfile

LARGE = 1 << 20
"""A file from this size on is worth the two small calls that let the server read it itself."""
PIECE = 4 * 1024 * 1024  # small enough to show progress and to keep two in memory, large enough to be fast
assert PIECE <= PAYLOAD_LIMIT

STDIN = "-"
_ARCHIVES = (".tar", ".tar.gz", ".tgz")

Advance = Callable[[int], None]


class FromDisk(NamedTuple):
    """A local file, to be stored at `path`."""

    path: str
    local: Path

    @property
    def size(self) -> int | None:
        return self._stat().st_size

    @property
    def is_large(self) -> bool:
        """Whether it is worth having the server read it, and the server can: a pipe is only ours."""
        found = self._stat()
        return stat.S_ISREG(found.st_mode) and found.st_size >= LARGE

    def pieces(self) -> Iterator[dict[str, Any]]:
        check_name(str(self.local))
        found = self._stat()
        if not self._is_our_pipe(found):
            refuse_endless(str(self.local), found)
        if stat.S_ISREG(found.st_mode):
            # Sent even when it is empty: an empty file is a file.
            blocks = Blocks(str(self.local))
            yield from ({"raw": {"value": block}} for block in itertools.chain([next(blocks, b"")], blocks))
            return
        with _reading(self.local, lambda: self.local.open("rb", buffering=0)) as stream:
            yield from _pieces(stream, str(self.local))

    def _is_our_pipe(self, found: os.stat_result) -> bool:
        """Tell whether it is a pipe that the shell has opened for us, as in `-f <(zcat x.gz)`; that is like `-f -`."""
        opened = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/")
        return stat.S_ISFIFO(found.st_mode) and str(self.local).startswith(opened)

    def _stat(self) -> os.stat_result:
        found: os.stat_result = _reading(self.local, self.local.stat)
        return found


class FromFolder(NamedTuple):
    """All files of a local folder, to be stored below `path`."""

    path: str
    local: Path

    @property
    def size(self) -> int | None:
        return None  # it would take a walk; see `count`

    def files(self) -> Iterator[FromDisk]:
        """Yield the files; links are followed, circles are not."""
        for below, local in files_below(str(self.local)):
            yield FromDisk(posixpath.join(self.path, below), Path(local))


class FromStream(NamedTuple):
    """Whatever a stream holds, such as standard input, to be stored at `path`."""

    path: str
    stream: IO[bytes]
    size: int | None = None
    archive: Path | None = None
    """What it is a member of, and may turn out to be cut off."""

    def pieces(self) -> Iterator[dict[str, Any]]:
        with _unpacking(self.archive) if self.archive is not None else nullcontext():
            yield from _pieces(self.stream, "the input")


class FromUrl(NamedTuple):
    """Something that the server fetches by itself and stores at `path`."""

    path: str
    url: str
    recursive: bool = False
    size: int | None = None

    def pieces(self) -> Iterator[dict[str, Any]]:
        yield {"url": {"URL": self.url, "recursive": self.recursive}}


class Nothing(NamedTuple):
    """No file: what is at `path` is deleted, in the same commit as the other puts."""

    path: str
    size: int | None = 0

    def pieces(self) -> Iterator[dict[str, Any]]:
        yield from ()


Put = FromDisk | FromFolder | FromStream | FromUrl | Nothing


def expand(puts: Iterable[Put]) -> Iterator[FromDisk | FromStream | FromUrl | Nothing]:
    """Yield the files, those of folders one by one."""
    for put in puts:
        if isinstance(put, FromFolder):
            yield from put.files()
        else:
            yield put


def from_bytes(path: str, content: bytes) -> FromStream:
    """Make a file of bytes that are already in memory."""
    import io

    return FromStream(path, io.BytesIO(content), len(content))


def put_file(
    connection: Connection,
    commit: str,
    puts: Iterable[Put],
    *,
    append: bool = False,
    compress: bool = False,
    advance: Advance | None = None,
    message: str = "",
    source: str = "",
) -> str:
    """Store files in a branch or an open commit; all of them or, on any error, none.

    A commit that is made for them says who made it, from where (`source`, or where the files are) and why (`message`).
    `advance` is told the number of bytes handed over since it was last called, from another thread.

    Returns:
        The id of the commit that has them, where the server says it: a pachlet does, Pachyderm does not.
    """
    source = source or _source_of(puts)
    told: dict[str, Any] = {}

    def send() -> None:
        mark = header(source=source, message=message)
        _send(connection, commit, puts, append, compress, advance, mark, told)

    if is_commit_id(commit.partition("@")[2]):
        send()
    else:
        marking(connection, commit, send, source=source, message=message)
    return str(told.get(COMMIT_KEY, ""))


def _send(
    connection: Connection,
    commit: str,
    puts: Iterable[Put],
    append: bool,
    compress: bool,
    advance: Advance | None,
    mark: Metadata,
    told: dict[str, Any],
) -> None:
    target = names.commit(connection.project, commit)
    way = ask_for_pass(connection) if isinstance(puts, Sequence) and any(map(_is_for_server, puts)) else None
    tell = advance or (lambda _: None)
    if way is None:
        messages = _messages(target, expand(puts), append, tell)
        connection.send("pfs_v2.API", "ModifyFile", messages, compress=compress, metadata=mark, told=told)
        return
    with watched(connection, way, advance):
        messages = _messages(target, puts, append, tell, way)
        sent = [*mark, *way.metadata]
        connection.send("pfs_v2.API", "ModifyFile", messages, compress=compress, metadata=sent, told=told)


def _source_of(puts: Iterable[Put]) -> str:
    """Return where files are, as far as that can be told before they are read."""
    found = [_place_of(put) for put in puts] if isinstance(puts, Sequence) else [STREAM]
    return sources(each for each in found if each)


def _place_of(put: Put) -> str:
    match put:
        case FromDisk() | FromFolder():
            return os.path.abspath(put.local)
        case FromUrl():
            return put.url
        case FromStream():
            return STREAM
    return ""


def plan(
    target: str,
    sources: Sequence[str],
    *,
    stdin: IO[bytes],
    recursive: bool = False,
    full_path: bool = False,
    untar: bool = False,
) -> Iterator[Put]:
    """Say which files `sources` are and where under `target` they land; `target` may be empty.

    Without a target each source keeps its base name. With one source the target is the file itself, unless it
    ends with a slash; with several it is the folder for all. A folder's files land below the place of the
    folder, an archive's below the target, wherever the archive lies.
    """
    if "" in sources:  # such as a shell's variable that is not set; it is not the current folder
        raise Usage("the name of a file to put is empty")
    if not recursive:  # look before anything is sent: the answer is the same, and sooner
        for source in sources:
            if not _is_url(source) and source != STDIN and Path(source).is_dir():
                raise Usage(f"{source} is a folder", hint="add -r to put all that is in it")
    for source in sources:
        if source == STDIN and (not target or (len(sources) > 1 or target.endswith("/"))):
            raise Usage(
                "must specify filename when reading data from stdin",
                hint="write REPO@BRANCH:/path/of/the/file",
            )
        if source == STDIN and recursive:
            raise Usage("cannot set -r and read from stdin (must also set -f or -i)")
        if untar and source.endswith(_ARCHIVES) and not _is_url(source):
            yield from _members(target, Path(source))
            continue
        path = _place(target, source, len(sources), recursive=recursive, full_path=full_path)
        yield from _puts(path, source, stdin=stdin, recursive=recursive)


def _place(target: str, source: str, count: int, *, recursive: bool, full_path: bool) -> str:
    own = _own_name(source, full_path=full_path)
    if not target:
        return own
    if count > 1 or (full_path if recursive else target.endswith("/")):
        return posixpath.join(target, own)
    return target


def _own_name(source: str, *, full_path: bool) -> str:
    where = urlsplit(source).path if _is_url(source) else Path(os.path.normpath(source)).as_posix()
    name = where.lstrip("/") if full_path else posixpath.basename(where.rstrip("/"))
    return "" if name in (".", "..") else name


def _puts(path: str, source: str, *, stdin: IO[bytes], recursive: bool) -> Iterator[Put]:
    if _is_url(source):
        yield FromUrl(path, source, recursive)
    elif source == STDIN:
        yield FromStream(path, stdin)
    elif recursive and Path(source).is_dir():
        yield FromFolder(path, Path(source))
    else:
        yield FromDisk(path, Path(source))


def _members(target: str, archive: Path) -> Iterator[Put]:
    """Yield the files of an archive, each below `target`; a link to another of its files is that file again."""
    import tarfile

    with _unpacking(archive), _reading(archive, lambda: tarfile.open(archive, "r:*")) as members:
        for member in members:
            if member.isdir():
                continue
            try:
                content = members.extractfile(member)
            except KeyError:
                content = None
            if content is None:
                kind = (
                    f"a link to {member.linkname}, which it does not hold" if member.linkname else "no file"
                )
                raise Refused(f"{archive}: {member.name} is {kind}", hint="nothing was put")
            path = posixpath.join("/", target, posixpath.normpath("/" + member.name).lstrip("/"))
            yield FromStream(path, content, member.size if member.isreg() else None, archive)
        _reading(archive, lambda: _check_end(members))


def _check_end(members: tarfile.TarFile) -> None:
    """Refuse an archive without a block of zeros after the last member; tarfile takes anything else for the end, too.

    One block is enough, as it is for GNU tar. Pachyderm's pachctl is less strict: to it an archive that stops between
    two members is whole. What comes behind is read, because there a packed archive has the sum of its bytes.
    """
    import tarfile

    assert members.fileobj is not None
    members.fileobj.seek(members.offset)
    if members.fileobj.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
        raise tarfile.ReadError("its end is missing")
    while members.fileobj.read(PIECE):
        pass


@contextmanager
def _unpacking(archive: Path) -> Iterator[None]:
    import tarfile
    import zlib

    damage: list[type[Exception]] = [tarfile.TarError, EOFError, OSError, zlib.error]
    if "lzma" in sys.modules:  # not every Python has it
        damage.append(sys.modules["lzma"].LZMAError)
    try:
        yield
    except tuple(damage) as error:
        # Of what is none at all tarfile tells, over several lines, how it failed to read it in every way it knows.
        why = "it has no tar header" if "\n" in str(error) else error
        raise Refused(f"{archive} is not a whole tar archive: {why}", hint="nothing was put") from None


def _is_for_server(put: Put) -> bool:
    return isinstance(put, FromFolder) or (isinstance(put, FromDisk) and put.is_large)


def _messages(
    target: names.Name, puts: Iterable[Put], append: bool, advance: Advance, way: Pass | None = None
) -> Iterator[dict[str, Any]]:
    yield {"set_commit": target}
    for put in puts:
        check_name(put.path)
        if isinstance(put, FromFolder):
            url = {"URL": source_url(put.local, replace=not append), "recursive": True}
            yield {"add_file": {"path": put.path, "url": url}}
            continue
        if not append:
            yield {"delete_file": {"path": put.path}}
        if way is not None and isinstance(put, FromDisk) and put.is_large:
            yield {"add_file": {"path": put.path, "url": {"URL": source_url(put.local)}}}
            continue
        for piece in put.pieces():
            yield {"add_file": {"path": put.path, **piece}}
            if "raw" in piece:
                advance(len(piece["raw"]["value"]))


def _pieces(stream: IO[bytes], what: str) -> Iterator[dict[str, Any]]:
    piece = _reading(what, lambda: stream.read(PIECE))
    yield {"raw": {"value": piece}}  # sent even when it is empty: an empty file is a file
    while piece:
        piece = _reading(what, lambda: stream.read(PIECE))
        if piece:
            yield {"raw": {"value": piece}}


def _reading(what: object, act: Callable[[], Any]) -> Any:
    try:
        return act()
    except OSError as error:
        if error.errno is None:
            raise  # it is no trouble of the disk, but how gzip and bzip2 tell that bytes are damaged
        raise cannot_read(what, error) from None


def _is_url(source: str) -> bool:
    return "://" in source and urlsplit(source).scheme != ""
