"""Put files from an object store, and write files of a commit to one, for a caller who waits for it.

Read next: file_service.py (who asks), ../egress/object_store.py.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from typing import Any

from pachlet.api.handlers import Context
from pachlet.egress.object_store import Bucket
from pachlet.egress.object_url import parse_object_url
from pachlet.egress.outgoing import Halt, Outgoing, Outlets
from pachlet.errors import InvalidArgument, NotFound
from pachlet.pfs.uploads import Upload


def halted_by(context: Context) -> Halt:
    """Return what breaks a delivery off once its caller has gone."""
    halt = Halt()
    if not context.add_callback(halt.set):
        halt.set()
    return halt


def put_objects(upload: Upload, request: Any, outlets: Outlets, context: Context) -> None:
    """Put the object that an AddFile's URL names; with `recursive` all whose keys begin with it, by what follows."""
    source = request.url
    bucket = Bucket(parse_object_url(source.URL), outlets, halted_by(context))
    prefix = bucket.url.prefix
    if not source.recursive:
        if not prefix:
            raise InvalidArgument(f"{source.URL} names no object", hint="-r puts all that is in the bucket")
        upload.add(request.path, bucket.read(), request.datum)
        return
    found = False
    for key, _ in bucket.sizes():
        found = True
        path = posixpath.join("/", request.path, key.removeprefix(prefix).lstrip("/")).rstrip("/")
        upload.add(path, bucket.read(key), request.datum)
    if not found:
        raise NotFound(f"no object of bucket {bucket.url.bucket} begins with {prefix!r}", hint=source.URL)


def write_objects(url: str, files: Iterable[Outgoing], outlets: Outlets, context: Context) -> int:
    """Write files below a URL, each at its path in the commit; return the bytes of all."""
    size = 0

    def count(file: Outgoing) -> None:
        nonlocal size
        size += file.size

    Bucket(parse_object_url(url), outlets, halted_by(context)).put_all(files, count)
    return size
