"""A registry of images for tests, on the loopback: as much of OCI's distribution protocol as pushes and pulls need.

Read next: ../pachlet/worker/containers/pushing.py, ../images/registry.py (who speaks to it).
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

_MANIFEST = re.compile(r"/v2/(?P<name>.+)/manifests/(?P<reference>[^/]+)")
_BLOB = re.compile(r"/v2/(?P<name>.+)/blobs/(?P<digest>sha256:[0-9a-f]{64})")
_UPLOAD = re.compile(r"/v2/(?P<name>.+)/blobs/uploads/(?P<id>[^/]*)")


@dataclass
class Registry:
    """What a registry holds, for tests to look at and to put there."""

    address: str = ""
    """`127.0.0.1:PORT`."""
    token: str = ""
    """Who comes without it is sent to fetch it, as Docker Hub does; '' lets everybody in."""
    gives_token: bool = True
    """Whether who is sent to fetch the token gets it."""
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    """Media type and bytes, by `name:tag` and by `name@digest`."""
    blobs: dict[str, bytes] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)
    """What was sent so far, by the id of an upload."""
    asked: list[str] = field(default_factory=list)
    """Method and path of each request."""

    def put(self, name: str, tag: str, manifest: bytes, media_type: str) -> str:
        """Put a manifest under a tag; return its digest."""
        digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
        for key in (f"{name}:{tag}", f"{name}@{digest}"):
            self.manifests[key] = media_type, manifest
        return digest


@contextmanager
def registry(*, token: str = "") -> Iterator[Registry]:
    """Serve a registry that is empty."""
    held = Registry(token=token)

    class Handler(_Handler):
        registry = held

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    held.address = f"127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield held
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    registry: Registry
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _refuse(self, status: int, code: str) -> None:
        said = {"errors": [{"code": code, "message": code.lower().replace("_", " ")}]}
        self._answer(status, json.dumps(said).encode(), Content_Type="application/json")

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            pieces = []
            while length := int(self.rfile.readline(), 16):
                pieces.append(self.rfile.read(length))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(pieces)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _serve(self) -> None:
        held, body = self.registry, self._body()
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        held.asked.append(f"{self.command} {path}")
        if path == "/token":
            self._answer(200, json.dumps({"token": held.token if held.gives_token else "no"}).encode())
        elif held.token and self.headers.get("Authorization") != f"Bearer {held.token}":
            realm = f'Bearer realm="http://{held.address}/token",service="test",scope="repository:x:pull"'
            self._answer(401, WWW_Authenticate=realm)
        elif path == "/v2/":
            self._answer(200)
        elif found := _MANIFEST.fullmatch(path):
            self._manifest(found["name"], found["reference"], body)
        elif found := _UPLOAD.fullmatch(path):
            self._upload(found["name"], found["id"], body, query)
        elif (found := _BLOB.fullmatch(path)) and found["digest"] in held.blobs:
            self._answer(200, held.blobs[found["digest"]], Docker_Content_Digest=found["digest"])
        else:
            self._refuse(404, "BLOB_UNKNOWN")

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = _serve

    def _manifest(self, name: str, reference: str, body: bytes) -> None:
        held = self.registry
        if self.command == "PUT":
            digest = held.put(name, reference, body, self.headers["Content-Type"])
            self._answer(201, Docker_Content_Digest=digest, Location=self.path)
            return
        found = held.manifests.get(f"{name}{'@' if ':' in reference else ':'}{reference}")
        if found is None:
            self._refuse(404, "MANIFEST_UNKNOWN")
            return
        digest = f"sha256:{hashlib.sha256(found[1]).hexdigest()}"
        self._answer(200, found[1], Content_Type=found[0], Docker_Content_Digest=digest)

    def _upload(self, name: str, id: str, body: bytes, query: dict[str, list[str]]) -> None:
        if self.command == "POST":
            id = uuid.uuid4().hex
            self.registry.uploads[id] = b""
        self.registry.uploads[id] += body
        if self.command == "PUT":
            content, digest = self.registry.uploads.pop(id), query["digest"][0]
            if digest != f"sha256:{hashlib.sha256(content).hexdigest()}":
                self._refuse(400, "DIGEST_INVALID")
                return
            self.registry.blobs[digest] = content
            self._answer(201, Location=f"/v2/{name}/blobs/{digest}", Docker_Content_Digest=digest)
            return
        last = max(0, len(self.registry.uploads[id]) - 1)
        self._answer(202, Location=f"/v2/{name}/blobs/uploads/{id}", Range=f"0-{last}", Docker_Upload_UUID=id)
