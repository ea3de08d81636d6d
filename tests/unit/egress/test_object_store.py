"""What is made of URLs of object stores and of variables; the stores themselves are met in the acceptance tests."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from pachlet.config import egress_environ
from pachlet.egress.object_store import Bucket
from pachlet.egress.object_url import parse_object_url
from pachlet.egress.outgoing import Halt, Outlets
from pachlet.errors import InvalidArgument, PachletError

KEY = base64.b64encode(b"key").decode()
ENVIRON = {
    "AWS_ACCESS_KEY_ID": "id",
    "AWS_SECRET_ACCESS_KEY": "key",
    "AWS_SESSION_TOKEN": "token",
    "AWS_PROFILE": "is no setting of a store",
    "AWS_REGION": "eu-west-1",
    "AZURE_STORAGE_ACCOUNT_NAME": "account",
    "AZURE_STORAGE_ACCOUNT_KEY": KEY,
    "AZURE_STORAGE_CLIENT_ID": "id",
    "AZURE_STORAGE_CLIENT_SECRET": "word",
    "AZURE_STORAGE_TENANT_ID": "tenant",
    "AZURE_STORAGE_TOKEN": "token",
    "AZURE_STORAGE_USE_EMULATOR": "false",
    "GOOGLE_SKIP_SIGNATURE": "true",
}


@pytest.mark.parametrize(
    "url, scheme, bucket, prefix, host",
    [
        ("s3://b", "s3", "b", "", ""),
        ("s3://b/p%20q/r/?region=x", "s3", "b", "p q/r", ""),
        ("gs://b/p", "gs", "b", "p", ""),
        ("gcs://b/p", "gs", "b", "p", ""),
        ("azblob://c/p", "azblob", "c", "p", ""),
        ("wasb://c@account/p", "wasb", "c", "p", "account"),
        ("wasb://c@account.blob.core.windows.net/p", "wasb", "c", "p", "account"),
        ("minio://h:9000/b/p/q", "minio", "b", "p/q", "h:9000"),
        ("file:///p/q", "file", "", "p/q", ""),
        ("file://localhost/p/q", "file", "", "p/q", ""),
    ],
)
def test_url_says_where(tmp_path: Path, url: str, scheme: str, bucket: str, prefix: str, host: str) -> None:
    found = parse_object_url(url)
    assert (found.scheme, found.bucket, found.prefix, found.host) == (scheme, bucket, prefix, host)
    Bucket(found, Outlets(ENVIRON, tmp_path), Halt())  # the store takes all that it is told


@pytest.mark.parametrize(
    "url", ["", "s3:", "s3:/b/p", "b/p", "wasb://account/p", "minio://h:9000", "s3://[", "s3://b?x=1"]
)
def test_url_that_says_nothing_is_refused(url: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_object_url(url)


def test_container_without_an_account_is_refused() -> None:
    with pytest.raises(PachletError, match="names no storage account"):
        Bucket(parse_object_url("azblob://c/p"), Outlets(), Halt())


def test_nothing_is_written_outside_of_the_folder(tmp_path: Path) -> None:
    inside = tmp_path / "in"
    inside.mkdir()
    (inside / "link").symlink_to(tmp_path)
    outlets = Outlets({}, inside)
    assert outlets.place("/a/b", "u") == inside / "a/b"
    assert outlets.place(f"{inside}/a", "u") == inside / "a"
    for path in ("../a", "/../a", "link", "link/a", "a/../../b"):
        with pytest.raises(InvalidArgument, match="leads out of"):
            outlets.place(path, "u")
    with pytest.raises(InvalidArgument, match="lets nothing be written there"):
        Outlets().place("/a", "u")


def test_keys_are_those_of_the_environment_or_of_a_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (
        "AWS_ACCESS_KEY_ID",
        "AWS_PROFILE",
        "AWS_REGION",
        "AWS_CONFIG_FILE",
        "AWS_SHARED_CREDENTIALS_FILE",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "AWS_ACCESS_KEY_ID" not in egress_environ()
    folder = tmp_path / ".aws"
    folder.mkdir()
    (folder / "credentials").write_text(
        "[default]\naws_access_key_id = one\naws_secret_access_key = %\n[other]\naws_access_key_id = two\n"
    )
    (folder / "config").write_text("[default]\nregion = r1\n[profile other]\nregion = r2\noutput = json\n")
    found = egress_environ()
    assert (found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"], found["AWS_REGION"]) == (
        "one",
        "%",
        "r1",
    )
    monkeypatch.setenv("AWS_PROFILE", "other")
    found = egress_environ()
    assert (found["AWS_ACCESS_KEY_ID"], found["AWS_REGION"]) == ("two", "r2")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "three")
    assert egress_environ()["AWS_ACCESS_KEY_ID"] == "three"
    assert "AWS_REGION" not in egress_environ()
