"""Read the URL of an object store.

    s3://bucket/prefix           gs://bucket/prefix (or gcs://)
    minio://host:9000/bucket/prefix
    wasb://container@account/prefix (or ...@account.blob.core.windows.net), azblob://container/prefix
    file:///prefix               below the folder that the server names

The schemes are Pachyderm's, and so are the query's: `region`, `endpoint`, `disableSSL`, `s3ForcePathStyle`.

Read next: object_store.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from pachlet.errors import InvalidArgument, Unimplemented
from pachlet.spec.validate import OBJECT_STORES

_OPTIONS = {"s3": ("region", "endpoint", "disableSSL", "s3ForcePathStyle")}
_BLOB_HOST = ".blob.core.windows.net"


@dataclass(frozen=True)
class ObjectURL:
    """A place in an object store; `prefix` has no slash at either end, `host` is that of minio or Azure's account."""

    text: str
    scheme: str
    bucket: str
    prefix: str
    host: str = ""
    options: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.text.partition("?")[0]

    @property
    def beginning(self) -> str:
        """How the keys begin that are meant by all of it; with a slash at its end, it is that folder alone."""
        return f"{self.prefix}/" if self.prefix and str(self).endswith("/") else self.prefix


def is_object_url(url: str) -> bool:
    """Tell whether a URL is that of an object store."""
    return url.partition("://")[0].lower() in OBJECT_STORES


def parse_object_url(url: str) -> ObjectURL:
    """Return what a URL says.

    Raises:
        InvalidArgument: it is none, or names no bucket, or has a query that means nothing.
        Unimplemented: it is that of another kind of store.
    """
    try:
        parts = urlsplit(url, allow_fragments=False)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        raise InvalidArgument(f"error parsing url {url}", hint="such as s3://bucket/path") from None
    if not parts.scheme or "://" not in url:
        raise InvalidArgument(f"{url!r} is no URL of an object store", hint="such as s3://bucket/path")
    scheme = "gs" if parts.scheme == "gcs" else parts.scheme
    if parts.scheme not in OBJECT_STORES:
        raise Unimplemented(
            f"unrecognized object store: {parts.scheme}", hint=f"one of {', '.join(OBJECT_STORES)}"
        )
    path = unquote(parts.path).strip("/")
    options = _options(url, scheme, parts)
    if scheme == "file":
        if host not in ("", "localhost"):
            raise InvalidArgument(
                f"{url} names the machine {host}, and files are written on the server's own",
                hint=f"for a folder {host}, write file:///{host}{parts.path}",
            )
        return ObjectURL(url, scheme, "", path)
    if scheme == "wasb":
        account = host.removesuffix(_BLOB_HOST)
        found = ObjectURL(url, scheme, unquote(parts.username or ""), path, account, options)
    elif scheme == "minio":
        bucket, _, prefix = path.partition("/")
        found = ObjectURL(url, scheme, bucket, prefix.strip("/"), host, options)
    else:
        found = ObjectURL(url, scheme, unquote(host), path, "", options)
    if not found.bucket:
        raise InvalidArgument(f"{url} names no bucket", hint=_example(scheme))
    return found


def _options(url: str, scheme: str, parts: SplitResult) -> dict[str, str]:
    known = _OPTIONS.get(scheme, ())
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if strange := [each for each in options if each not in known]:
        hint = f"{scheme}:// knows {', '.join(known)}" if known else f"{scheme}:// knows no options"
        raise InvalidArgument(f"{url} has the option {strange[0]}, which means nothing", hint=hint)
    return options


def _example(scheme: str) -> str:
    examples = {"wasb": "wasb://container@account/path", "minio": "minio://host:9000/bucket/path"}
    return "such as " + examples.get(scheme, f"{scheme}://bucket/path")
