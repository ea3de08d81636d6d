"""Read the bytes behind a URL that a client asks the server to put.

Read next: file_service.py (who asks).
"""

from __future__ import annotations

import http.client
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator

from pachlet.errors import Refused, Unavailable, Unimplemented

_BLOCK = 1 << 20
_TIMEOUT = 60.0


def read_url(url: str) -> Iterator[bytes]:
    """Yield the bytes that an http or https URL answers with.

    Raises:
        Refused: the answer is an error; the text is upstream's.
        Unimplemented: the URL is that of an object store.
    """
    scheme = urllib.parse.urlsplit(url).scheme
    if scheme not in ("http", "https"):
        raise Unimplemented(
            f"putting from {scheme or 'a URL without scheme'}:// is not implemented by pachlet"
        )
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer:
            while block := answer.read(_BLOCK):
                yield block
    except urllib.error.HTTPError as error:
        raise Refused(f'error retrieving content from "{url}": {error.code} {error.reason}') from None
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError) as error:
        raise Unavailable(f'error retrieving content from "{url}": {error}') from None
