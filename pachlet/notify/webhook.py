"""Deliver letters as JSON by HTTP POST.

The body is the letter's content and, in `text`, its words: what chat programs with incoming webhooks show. The header
`Idempotency-Key` is the job set's id, so that a receiver can tell a second copy. A redirection is not followed: it
would turn the POST into a GET. The address is often itself the secret, so it is in no message.

Read next: channels.py.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from pachlet.errors import Usage
from pachlet.notify.channels import TIMEOUT, NotDelivered
from pachlet.notify.letter import Letter


class _NoRedirection(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


@dataclass(frozen=True)
class Webhook:
    """Where to post, with a bearer token if there is one."""

    url: str
    token: str = ""

    name = "webhook"

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Usage("the webhook's address is no URL", hint="write it like https://example.org/hooks/1")

    def send(self, letter: Letter) -> None:
        """Post a letter; any answer of the 200s is an acceptance."""
        body = json.dumps({**letter.content, "text": f"{letter.subject}\n\n{letter.text}"}).encode()
        request = urllib.request.Request(self.url, body, method="POST")
        request.add_header("Content-Type", "application/json")
        request.add_header("User-Agent", "pachlet-notify")
        request.add_header("Idempotency-Key", letter.id)
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        try:
            with urllib.request.build_opener(_NoRedirection).open(request, timeout=TIMEOUT):
                return
        except urllib.error.HTTPError as error:
            with error:
                reason = f"it answered {error.code} {error.reason}"
        except (OSError, HTTPException, ValueError) as error:
            reason = str(getattr(error, "reason", None) or error)
        raise NotDelivered(f"webhook at {urlsplit(self.url).hostname}: {reason}")
