"""Read the bytes behind a URL that a client asks the server to put.

Read next: file_service.py (who asks), object_transfer.py (URLs of object stores).
"""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator

from pachlet.errors import Refused, Unimplemented
from pachlet.spec.validate import OBJECT_STORES

_BLOCK = 1 << 20
_TIMEOUT = 60.0


def read_url(url: str) -> Iterator[bytes]:
    """Yield the bytes that an http or https URL answers with.

    Raises:
        Refused: there is no answer, or it is an error or broken off; the texts begin as upstream's.
        Unimplemented: the URL has another scheme.
    """
    scheme = url.partition(":")[0].lower() if ":" in url else ""
    if scheme not in ("http", "https"):
        raise Unimplemented(
            f"putting from {scheme + '://' if scheme else 'a URL without scheme'} is not implemented by pachlet",
            hint=f"http, https, or one of {', '.join(OBJECT_STORES)}",
        )
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer:
            got = 0
            while block := answer.read(_BLOCK):
                got += len(block)
                yield block
            if answer.length:  # what is still to come; a read in blocks takes a broken connection for the end
                raise http.client.HTTPException(f"it broke off after {got} of {got + answer.length} bytes")
    except urllib.error.HTTPError as error:
        raise Refused(f'error retrieving content from "{url}": {error.code} {error.reason}') from None
    except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: it is no URL
        why = error.reason if isinstance(error, urllib.error.URLError) else error
        said = why.strerror if isinstance(why, OSError) and why.strerror else why
        raise Refused(f'error retrieving content from "{url}": {said}') from None
