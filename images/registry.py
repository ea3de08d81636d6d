"""Ask a registry which digest a tag has now, by OCI's distribution protocol: what pinning an image needs.

No engine is asked: Podman's service does not know, and the answer must be the registry's, not of what was pulled once.

Read next: pin.py (who asks).
"""

from __future__ import annotations

import json
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass

from pachlet.errors import FailedPrecondition, NotFound, Unavailable

_DOCKER_HUB, _DOCKER_HUBS_API = "docker.io", "registry-1.docker.io"
_SECONDS = 15
_MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
"""An index of all platforms counts first: one pin then holds on every machine."""
_FIELD = re.compile(r'(\w+)="([^"]*)"')
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True)
class Name:
    """An image's name in full."""

    registry: str
    path: str
    tag: str

    @property
    def url(self) -> str:
        """Where its manifest is. A registry on the loopback speaks no TLS, as Docker has it."""
        host = _DOCKER_HUBS_API if self.registry == _DOCKER_HUB else self.registry
        scheme = "http" if host.rpartition(":")[0] in _LOOPBACK or host in _LOOPBACK else "https"
        return f"{scheme}://{host}/v2/{self.path}/manifests/{self.tag}"


def full_name(reference: str) -> Name:
    """Read `[registry/]path[:tag][@digest]` as Docker does; the digest is left out."""
    name = reference.partition("@")[0]
    first, slash, rest = name.partition("/")
    has_registry = slash and ("." in first or ":" in first or first == "localhost")
    registry, path = (first, rest) if has_registry else (_DOCKER_HUB, name)
    path, _, tag = path.partition(":")
    if registry == _DOCKER_HUB and "/" not in path:
        path = f"library/{path}"
    return Name(registry, path, tag or "latest")


def digest_of(reference: str) -> str:
    """Return the digest that the registry has under a name and tag now.

    Raises:
        Unavailable: no registry answers under that name.
        NotFound: it has no such image.
        FailedPrecondition: it answers, but will not say.
    """
    name = full_name(reference)
    try:
        answer = _head(name, "")
    except urllib.error.HTTPError as refusal:
        if refusal.code != 401:
            raise _failure(name, refusal) from None
        try:
            answer = _head(name, _token(name, refusal.headers.get("WWW-Authenticate", "")))
        except urllib.error.HTTPError as second:
            raise _failure(name, second) from None
    found = _DIGEST.fullmatch(answer)
    if found is None:
        raise FailedPrecondition(f"{name.registry} did not say which digest {reference} has")
    return found[0]


def _head(name: Name, token: str) -> str:
    asked = urllib.request.Request(name.url, method="HEAD", headers={"Accept": ", ".join(_MANIFESTS)})
    if token:
        asked.add_header("Authorization", f"Bearer {token}")
    return _ask(name, asked)[1]


def _token(name: Name, challenge: str) -> str:
    """Get the word by which a registry lets anybody read, where it wants one."""
    fields = dict(_FIELD.findall(challenge))
    if not challenge.lower().startswith("bearer ") or "realm" not in fields:
        raise FailedPrecondition(
            f"{name.registry} wants a login", hint="write the digest by hand: name:tag@sha256:…"
        )
    wanted = {"service": fields.get("service", ""), "scope": f"repository:{name.path}:pull"}
    url = f"{fields['realm']}?{urllib.parse.urlencode(wanted)}"
    found = json.loads(_ask(name, urllib.request.Request(url))[0] or b"{}")
    return str(found.get("token") or found.get("access_token") or "")


def _ask(name: Name, asked: urllib.request.Request) -> tuple[bytes, str]:
    try:
        with urllib.request.urlopen(asked, timeout=_SECONDS) as answer:
            return answer.read(), answer.headers.get("Docker-Content-Digest", "")
    except urllib.error.HTTPError:
        raise
    except (OSError, ValueError) as error:
        why = getattr(error, "reason", error)
        raise Unavailable(
            f"no registry answers at {name.registry}: {os.fsdecode(str(why))}",
            hint="nothing is pinned without one; the tags stay as they are",
        ) from None


def _failure(name: Name, refusal: urllib.error.HTTPError) -> NotFound | FailedPrecondition:
    image = f"{name.registry}/{name.path}:{name.tag}"
    if refusal.code == 404:
        return NotFound(f"{name.registry} has no {image}", hint="check the name in the Dockerfile's ARG")
    return FailedPrecondition(
        f"{name.registry} will not say which digest {image} has: {refusal.code} {refusal.reason}"
    )
