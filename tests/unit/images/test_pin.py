"""make pin-images: the bases get the digests that a registry gives, or nothing is changed and that is said.

Read next: ../../../images/pin.py, ../../registry.py.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from images.pin import pin
from images.registry import digest_of, full_name
from pachlet.errors import FailedPrecondition, NotFound, Unavailable
from pachlet.worker.images import code_digest, read_recipe
from tests.registry import registry

ROOT = Path(__file__).parents[3]
INDEX = "application/vnd.oci.image.index.v1+json"


def write(code: Path, base: str) -> tuple[Path, Path]:
    """Write a base and an image on it; return their Dockerfiles."""
    files = code / "images" / "base" / "Dockerfile", code / "images" / "stage" / "Dockerfile"
    texts = (
        f"# The base.\nARG BASE={base}\nFROM ${{BASE}}\nENV A=b\n",
        "ARG BASE=pachlet/base:1\nFROM ${BASE}\n",
    )
    for file, text in zip(files, texts, strict=True):
        file.parent.mkdir(parents=True)
        file.write_text(text)
    return files


@pytest.mark.parametrize("token", ["", "let-me-in"], ids=["open", "with-a-token"])
def test_a_base_is_pinned_and_pinned_again_when_its_tag_has_moved(tmp_path: Path, token: str) -> None:
    with registry(token=token) as held:
        image = f"{held.address}/team/base:1"
        base, stage = write(tmp_path, image)
        before = stage.read_text()
        first = held.put("team/base", "1", b"{}", INDEX)
        assert pin(tmp_path) == [f"images/base/Dockerfile: {image} is {first}"]
        assert base.read_text() == f"# The base.\nARG BASE={image}@{first}\nFROM ${{BASE}}\nENV A=b\n"
        assert stage.read_text() == before
        assert pin(tmp_path) == [f"images/base/Dockerfile: {image} is still {first}"]
        second = held.put("team/base", "1", b"{ }", INDEX)
        assert pin(tmp_path) == [f"images/base/Dockerfile: {image} is {second}, was {first}"]
        assert f"{image}@{second}\n" in base.read_text()


def test_where_no_registry_answers_nothing_is_changed_and_that_is_said(tmp_path: Path) -> None:
    base, _ = write(tmp_path, "127.0.0.1:1/team/base:1")
    before = base.read_text()
    with pytest.raises(Unavailable, match=r"no registry answers at 127\.0\.0\.1:1: "):
        pin(tmp_path)
    command = [sys.executable, "-m", "images.pin", "--code", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "make pin-images: no registry answers at 127.0.0.1:1" in done.stderr
    assert "nothing is pinned" in done.stderr
    assert base.read_text() == before


def test_one_base_that_is_not_there_leaves_all_as_they_are(tmp_path: Path) -> None:
    with registry() as held:
        base, _ = write(tmp_path, f"{held.address}/team/base:1")
        held.put("team/base", "1", b"{}", INDEX)
        other = tmp_path / "images" / "other" / "Dockerfile"
        other.parent.mkdir()
        other.write_text(f"ARG BASE={held.address}/team/none:1\nFROM ${{BASE}}\n")
        before = base.read_text()
        with pytest.raises(NotFound, match=f"has no {held.address}/team/none:1"):
            pin(tmp_path)
        assert base.read_text() == before


def test_a_registry_that_does_not_let_us_in_is_a_sentence() -> None:
    with registry(token="secret") as held:
        held.put("a", "1", b"{}", INDEX)
        assert digest_of(f"{held.address}/a:1").startswith("sha256:")
        held.gives_token = False
        with pytest.raises(FailedPrecondition, match=r"will not say which digest .*/a:1 has: 401"):
            digest_of(f"{held.address}/a:1")


@pytest.mark.parametrize(
    "reference, url",
    [
        ("python:3.11-slim", "https://registry-1.docker.io/v2/library/python/manifests/3.11-slim"),
        ("team/tool", "https://registry-1.docker.io/v2/team/tool/manifests/latest"),
        ("ghcr.io/a/b:1@sha256:0", "https://ghcr.io/v2/a/b/manifests/1"),
        ("localhost:5000/a:2", "http://localhost:5000/v2/a/manifests/2"),
    ],
)
def test_names_are_read_as_docker_reads_them(reference: str, url: str) -> None:
    assert full_name(reference).url == url


def test_a_pinned_base_is_understood_and_is_other_code(tmp_path: Path) -> None:
    base, _ = write(tmp_path, "python:3.11-slim-bookworm")
    before = code_digest("pachlet/stage", tmp_path).digest
    base.write_text(base.read_text().replace("bookworm", f"bookworm@sha256:{'0' * 64}"))
    assert read_recipe("pachlet/stage", tmp_path)[0].python == "3.11"
    assert code_digest("pachlet/stage", tmp_path).digest != before
