"""Write files to an object store, list what is there and read it.

A small file is one request, a large one is sent in parts; so many are under way at a time as fit into a fixed amount of
memory. A file is there whole or not at all, and one that is there is replaced. What the store can't answer now is tried
again by the library for a moment, and then said to whoever asked, who may go on from the file that it failed at.

The store's own answers become sentences here: the bucket that is not there, the key that is not right.

Read next: object_url.py, outgoing.py.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pachlet.egress.object_url import ObjectURL
from pachlet.egress.outgoing import Halt, Halted, Outgoing, Outlets, need
from pachlet.errors import InvalidArgument, NotFound, PachletError, Refused, Unavailable

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_T = TypeVar("_T")
_PART = 8 << 20
"""A file up to this size is sent at once, a larger one in parts of it."""
_PARTS = 9_000  # S3 takes 10,000
_BUDGET = 64 << 20
"""So many bytes are in memory to be sent, unless a part alone is larger."""
_AT_A_TIME = 16
_PARTS_AT_A_TIME = 3
_GRACE = 2.0  # seconds from being told to break off until a request that hangs is dropped
_BLOCK = 4 << 20
_TIMES = {"timeout": "60s", "connect_timeout": "5s"}
_RETRIES: dict[str, Any] = {"max_retries": 2, "retry_timeout": timedelta(seconds=30)}
_S3 = (
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "aws_region",
    "aws_default_region",
    "aws_skip_signature",
    "aws_role_arn",
    "aws_role_session_name",
    "aws_web_identity_token_file",
    "aws_container_credentials_relative_uri",
    "aws_container_credentials_full_uri",
    "aws_container_authorization_token_file",
)
_GCS = (
    "google_service_account",
    "google_service_account_key",
    "google_application_credentials",
    "google_skip_signature",
)
_AZURE = (
    "azure_storage_account_name",
    "azure_storage_account_key",
    "azure_storage_client_id",
    "azure_storage_client_secret",
    "azure_storage_tenant_id",
    "azure_storage_sas_key",
    "azure_storage_token",
    "azure_storage_use_emulator",
    "azure_storage_endpoint",
)
_WAYS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "minio": "MINIO_ID and MINIO_SECRET",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "azblob": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
    "wasb": "AZURE_STORAGE_ACCOUNT_KEY",
}


class Bucket:
    """The place that a URL names."""

    def __init__(self, url: ObjectURL, outlets: Outlets, halt: Halt) -> None:
        self.url = url
        self._halt = halt
        self._outlets = outlets
        self._obstore = need("obstore", "an object store")
        self._store = _open(url, outlets)

    def put_all(self, files: Iterable[Outgoing], done: Callable[[Outgoing], None]) -> None:
        """Write files below the URL, each at its path; `done` is told of each that is there, in their order.

        Raises:
            Unavailable: the store can't take them now. Those that `done` was told of are there.
            PachletError: it won't take them.
            Halted: nobody waits for it any more.
        """
        self._run(self._put_all(files, done))

    def sizes(self) -> Iterator[tuple[str, int]]:
        """Yield key and size of every object whose key begins as the URL says, in the order of keys."""
        beginning = self.url.beginning
        folder = beginning.rpartition("/")[0]
        try:  # a store lists what lies below a path; that its last name may be only begun is Pachyderm's
            for listed in self._obstore.list(self._store, prefix=folder or None):
                for each in listed:
                    if each["path"].startswith(beginning):
                        yield each["path"], each["size"]
        except Exception as error:
            raise self._explain(error) from None

    def read(self, key: str = "") -> Iterator[bytes]:
        """Yield the bytes of an object, that of the URL itself unless a key is given."""
        self._place(key or self.url.prefix)
        try:
            found = self._obstore.get(self._store, key or self.url.prefix)
            for block in found.stream(min_chunk_size=_BLOCK):
                self._halt.check()
                yield bytes(block)
        except FileNotFoundError as error:
            if _is_missing_bucket(error):
                raise self._explain(error) from None
            raise NotFound(f"there is no object {key or self.url.prefix} in {self.url}") from None
        except Exception as error:
            raise self._explain(error) from None

    async def _put_all(self, files: Iterable[Outgoing], done: Callable[[Outgoing], None]) -> None:
        pending: deque[tuple[Outgoing, int, asyncio.Task[None]]] = deque()
        used = 0
        try:
            for file in files:
                self._halt.check()
                weight = _weight(file)
                while pending and (len(pending) >= _AT_A_TIME or used + weight > _BUDGET):
                    used -= await _first(pending, done)
                pending.append((file, weight, asyncio.ensure_future(self._put(file))))
                used += weight
                await asyncio.sleep(0)  # let it begin
            while pending:
                await _first(pending, done)
        except asyncio.CancelledError:
            for _, _, task in pending:
                task.cancel()
            raise
        finally:  # each ends as it would, for a file that is there is one less to write again
            await asyncio.gather(*(task for _, _, task in pending), return_exceptions=True)

    async def _put(self, file: Outgoing) -> None:
        key = "/".join(filter(None, (self.url.prefix, file.path.lstrip("/"))))
        self._check_place(key)
        try:
            if file.size <= _PART:
                await self._obstore.put_async(self._store, key, b"".join(file.read()), use_multipart=False)
                return
            part = _part(file.size)
            await self._obstore.put_async(
                self._store,
                key,
                self._blocks(file),
                chunk_size=part,
                max_concurrency=max(1, min(_PARTS_AT_A_TIME, _BUDGET // part - 1)),
            )
        except Exception as error:
            raise self._explain(error, file.path) from None

    def _place(self, key: str) -> Path | None:
        """Return where the file of a key is, None in a real store; raise InvalidArgument if a link leads out."""
        return self._outlets.place(key, f"{self.url}") if self.url.scheme == "file" else None

    def _check_place(self, key: str) -> None:
        """Raise a PachletError if no file of a key can be written, however often it is tried."""
        place = self._place(key)
        if place is None:
            return
        there = next(each for each in place.parents if each.exists())
        if not there.is_dir():
            raise Refused(f"{self.url}: {there} is a file, so no folder can be there", hint="write elsewhere")
        if place.is_dir():
            raise Refused(f"{self.url}: {place} is a folder, so no file can be there", hint="write elsewhere")

    async def _blocks(self, file: Outgoing) -> AsyncIterator[bytes]:
        for block in file.read():
            self._halt.check()  # what is raised here has the store forget the parts that it got
            yield block

    def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run until done; when told to break off, what does not end by itself is dropped after a moment."""

        async def watched() -> _T:
            loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)

            def drop() -> None:
                loop.call_soon_threadsafe(lambda: loop.call_later(_GRACE, task.cancel))

            with self._halt.calling(drop):
                return await task

        try:
            return asyncio.run(watched())
        except asyncio.CancelledError:
            raise Halted from None

    def _explain(self, error: Exception, path: str = "") -> Exception:
        """Return what is to be said of an error of the store."""
        is_told = isinstance(error, OSError | ValueError) or type(error).__module__.startswith("obstore")
        if isinstance(error, PachletError) or not is_told:
            return error
        text = _short(error)
        what = f"{self.url}" + (f" did not take {path}" if path else "")
        way = f"the server's environment has {_WAYS.get(self.url.scheme, 'none')}"
        if "169.254.169.254" in text or "metadata.google.internal" in text:
            return Refused(
                f"there are no credentials for {self.url}",
                hint=f"start the server with {_WAYS.get(self.url.scheme, 'credentials')} in its environment, or name a"
                " secret with these variables in transform.secrets",
            )
        if _is_missing_bucket(error):
            return NotFound(f"{self.url}: there is no bucket {self.url.bucket}", hint="create it there")
        status = re.search(r"status code: (\d\d\d)", text)
        code = int(status[1]) if status else 0
        if type(error).__name__ in ("PermissionDeniedError", "UnauthenticatedError") or code in (401, 403):
            return Refused(f"{what}: it is not permitted ({text})", hint=f"look at the keys: {way}")
        if isinstance(error, OSError) and self.url.scheme == "file":
            return Refused(f"{what}: {text}")
        if 400 <= code < 500 and code not in (408, 409, 429):
            return Refused(f"{what}: {text}")
        if type(error).__name__ == "GenericError" or isinstance(error, OSError):
            return Unavailable(f"{what}: {text}")
        return Refused(f"{what}: {text}")


async def _first(
    pending: deque[tuple[Outgoing, int, asyncio.Task[None]]], done: Callable[[Outgoing], None]
) -> int:
    """Wait for the oldest of the files under way; return what it takes no more of the memory."""
    file, weight, task = pending[0]
    await asyncio.shield(task)
    pending.popleft()
    done(file)
    return weight


def _weight(file: Outgoing) -> int:
    return file.size if file.size <= _PART else min(_BUDGET, (_PARTS_AT_A_TIME + 1) * _part(file.size))


def _part(size: int) -> int:
    return max(_PART, -(-size // _PARTS))


def _short(error: Exception) -> str:
    """Return the first line of an error, without what is for who debugs the library."""
    text = str(error).partition("\n\nDebug source:")[0]
    code = re.search(r"<Code>([^<]*)</Code>", text)
    message = re.search(r"<Message>([^<]*)</Message>", text)
    head = text.partition("<?xml")[0].partition("<Error>")[0].strip().rstrip(":")
    head = re.sub(
        r" in [\d.]+[µnm]?s\b(, after \d+ retries, max_retries: \d+, retry_timeout: \d+s)?", "", head
    )
    said = ": ".join(each[1] for each in (code, message) if each)
    return " ".join((f"{head}: {said}" if said else head[:500]).split())


def _is_missing_bucket(error: Exception) -> bool:
    text = str(error)
    return any(each in text for each in ("NoSuchBucket", "ContainerNotFound", "bucket does not exist"))


def _open(url: ObjectURL, outlets: Outlets) -> ObjectStore:
    stores = need("obstore.store", "an object store")
    environ = {key.lower(): value for key, value in outlets.environ.items() if value}
    if url.scheme == "file":
        folder = outlets.place("/", str(url))
        if not os.path.isdir(folder):
            raise InvalidArgument(
                f"{folder} is no folder", hint="make it, or start the server with another one"
            )
        return stores.LocalStore(folder)  # type: ignore[no-any-return]
    try:
        if url.scheme in ("s3", "minio"):
            config, is_plain = _s3(url, environ)
            kind = stores.S3Store
        elif url.scheme == "gs":
            config, is_plain, kind = _chosen(environ, _GCS), False, stores.GCSStore
        else:
            config, is_plain, kind = _chosen(environ, _AZURE), True, stores.AzureStore
            if url.host:
                config["azure_storage_account_name"] = url.host
        client = {**_TIMES, **({"allow_http": True} if is_plain else {})}
        store: ObjectStore = kind(url.bucket, config=config, client_options=client, retry_config=_RETRIES)
    except Exception as error:
        if "Account must be specified" in str(error):
            raise Refused(
                f"{url} names no storage account",
                hint="write wasb://container@account/path, or set AZURE_STORAGE_ACCOUNT_NAME for the server",
            ) from None
        raise Refused(f"{url} can't be used: {_short(error)}") from None
    return store


def _chosen(environ: Mapping[str, str], names: Iterable[str]) -> dict[str, Any]:
    return {name: environ[name] for name in names if name in environ}


def _s3(url: ObjectURL, environ: Mapping[str, str]) -> tuple[dict[str, Any], bool]:
    """Return the settings of an S3 store, and whether it may be spoken to without encryption."""
    if url.scheme == "minio":  # as Pachyderm has it, with MinIO's own defaults
        is_secure = environ.get("minio_secure", "").lower() in ("1", "t", "true")
        host = environ.get("minio_endpoint") or url.host
        config: dict[str, Any] = {
            "aws_access_key_id": environ.get("minio_id", "minioadmin"),
            "aws_secret_access_key": environ.get("minio_secret", "minioadmin"),
            "aws_region": "us-east-1",
            "aws_endpoint": f"{'https' if is_secure else 'http'}://{host}",
        }
        return config, not is_secure
    config = _chosen(environ, _S3)
    if "region" in url.options:
        config["aws_region"] = url.options["region"]
    endpoint = url.options.get("endpoint") or next(
        (
            environ[each]
            for each in ("aws_endpoint_url_s3", "aws_endpoint_url", "custom_endpoint")
            if each in environ
        ),
        "",
    )
    is_plain = (url.options.get("disableSSL") or environ.get("disable_ssl", "")).lower() in ("1", "t", "true")
    if endpoint:
        if "://" not in endpoint:
            endpoint = f"{'http' if is_plain else 'https'}://{endpoint}"
        config["aws_endpoint"] = endpoint
        is_plain = endpoint.startswith("http://")
    path_style = url.options.get("s3ForcePathStyle", "").lower()
    if path_style in ("0", "f", "false") and not endpoint:
        config["aws_virtual_hosted_style_request"] = True
    return config, is_plain
