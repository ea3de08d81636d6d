"""An object store for tests: moto's S3 on a port of loopback, which can be told to be out of order.

Read next: acceptance/test_egress.py.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "word", "AWS_REGION": "us-east-1"}


class ObjectStore:
    """A store that runs; `fail` and `held` say what happens to the requests that write."""

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        self.url = f"http://127.0.0.1:{self._server.port}"
        self.environ = {**KEYS, "AWS_ENDPOINT_URL": self.url}
        self.fail = 0
        """So many requests to come are answered with 503."""
        self.signers: set[str] = set()
        """The keys that requests were signed with."""
        self.reached = threading.Event()
        self._go_on = threading.Event()
        self._go_on.set()
        self._thread = threading.Thread(target=self._server.serve_forever, name="moto", daemon=True)
        self._thread.start()
        self.client = boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="key",
            aws_secret_access_key="word",
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
        )

    def make_bucket(self, name: str) -> str:
        """Make an empty bucket; return its URL."""
        self.client.create_bucket(Bucket=name)
        return f"s3://{name}"

    def files(self, bucket: str) -> dict[str, str]:
        """Return the texts in a bucket by key."""
        return {key: self.get(bucket, key).decode() for key in self.keys(bucket)}

    def keys(self, bucket: str) -> list[str]:
        """Return the keys in a bucket, sorted."""
        listed = self.client.list_objects_v2(Bucket=bucket).get("Contents", [])
        return sorted(each["Key"] for each in listed)

    def get(self, bucket: str, key: str) -> bytes:
        """Return the bytes of an object."""
        body: bytes = self.client.get_object(Bucket=bucket, Key=key)["Body"].read()
        return body

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let no request that writes be answered while the block runs; `reached` is set at the first."""
        self.reached.clear()
        self._go_on.clear()
        try:
            yield
        finally:
            self._go_on.set()

    def close(self) -> None:
        """Stop."""
        self._go_on.set()
        self.client.close()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] in ("PUT", "POST") and environ["PATH_INFO"].count("/") > 1:
            self.reached.set()
            self._go_on.wait()
            if self.fail:
                self.fail -= 1
                start("503 Slow Down", [("Content-Length", "0"), ("Connection", "close")])
                return []
            signed = environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")[2]
            self.signers.add(signed.partition("/")[0])
        return self._moto(environ, start)
