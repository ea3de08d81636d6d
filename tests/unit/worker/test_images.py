"""An image's digest changes exactly with what is in the image."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from pachlet.errors import Corrupt, FailedPrecondition, InvalidArgument, NotFound
from pachlet.worker.images import code_digest, read_recipe
from pachlet.worker.snapshots import FILES, make_snapshot


def write(root: Path, name: str, text: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """Two stages on one base with requirements."""
    root = tmp_path / "code"
    write(
        root,
        "images/base/Dockerfile",
        "FROM python:3.11-slim-bookworm\n"
        "COPY images/base/requirements.txt /opt/requirements/base.txt\n"
        "RUN pip install --no-cache-dir --require-hashes -r /opt/requirements/base.txt\n"
        "ENV PFS_ROOT=/pfs\n"
        "WORKDIR /app\n",
    )
    write(root, "images/base/requirements.txt", "six==1.17.0 --hash=sha256:00\n")
    for stage in ("ingest", "train"):
        write(
            root,
            f"images/{stage}/Dockerfile",
            f"ARG BASE=pachlet/base:1\nFROM ${{BASE}}\nCOPY shared.py steps/{stage}.py /app/steps/\n",
        )
        write(root, f"steps/{stage}.py", f"print('{stage}')\n")
    write(root, "shared.py", "x = 1\n")
    write(root, "unrelated.py", "y = 1\n")
    return root


def digests(code: Path) -> dict[str, str]:
    return {name: code_digest(f"pachlet/{name}", code).digest for name in ("base", "ingest", "train")}


def test_a_recipe_adds_up_the_chain_of_dockerfiles(code):
    recipe, sources = read_recipe("pachlet/ingest:1", code)
    assert recipe.python == "3.11"
    assert recipe.requirements == ("/opt/requirements/base.txt",)
    assert recipe.env == {"PFS_ROOT": "/pfs"}
    assert recipe.working_dir == "/app"
    assert recipe.dockerfiles == ("images/ingest/Dockerfile", "images/base/Dockerfile")
    assert sources == {
        "/opt/requirements/base.txt": code / "images/base/requirements.txt",
        "/app/steps/shared.py": code / "shared.py",
        "/app/steps/ingest.py": code / "steps/ingest.py",
    }


@pytest.mark.parametrize(
    "name, text, changed",
    [
        ("steps/train.py", "print('better')\n", {"train"}),
        ("shared.py", "x = 2\n", {"ingest", "train"}),
        ("images/base/requirements.txt", "six==1.16.0 --hash=sha256:00\n", {"base", "ingest", "train"}),
        ("unrelated.py", "y = 2\n", set()),
        ("steps/unrelated.py", "", set()),
    ],
)
def test_a_changed_file_changes_the_digests_of_the_images_it_is_in(code, name, text, changed):
    before = digests(code)
    write(code, name, text)
    after = digests(code)
    assert {image for image in before if before[image] != after[image]} == changed


def test_instructions_and_exec_bits_count_and_comments_do_not(code):
    before = digests(code)
    dockerfile = code / "images/ingest/Dockerfile"
    dockerfile.write_text("# a comment\n" + dockerfile.read_text())
    assert digests(code) == before
    dockerfile.write_text(dockerfile.read_text() + "ENV A=1\n")
    with_env = digests(code)
    assert with_env["ingest"] != before["ingest"]
    (code / "steps/ingest.py").chmod(0o755)
    assert digests(code)["ingest"] != with_env["ingest"]
    assert digests(code)["train"] == before["train"]


def test_the_digest_is_the_same_from_another_folder_and_is_pinned(code, tmp_path):
    # A pipeline made by one checkout must not rerun because another one asks: the form is part of our interface.
    copy = shutil.copytree(code, tmp_path / "elsewhere")
    assert digests(copy) == digests(code)
    assert digests(code)["base"] == "sha256:dad782eacd4f04b9218625c1aea71ee6464f000ef2ff5deacc168497e1c4ef73"


def test_a_folder_is_copied_without_what_python_leaves_behind(code):
    write(code, "images/all/Dockerfile", "FROM pachlet/base\nCOPY steps /app/steps\n")
    before = code_digest("pachlet/all", code).digest
    write(code, "steps/__pycache__/train.pyc", "x")
    write(code, "steps/old.pyc", "x")
    assert code_digest("pachlet/all", code).digest == before
    _, sources = read_recipe("pachlet/all", code)
    assert {"/app/steps/ingest.py", "/app/steps/train.py"} < set(sources)


@pytest.mark.parametrize(
    "dockerfile, problem",
    [
        ("FROM debian:12\n", "images/x/Dockerfile:1: FROM debian:12 is no base"),
        ("FROM pachlet/x\n", "images/x/Dockerfile:1: pachlet/x is its own base"),
        ("FROM pachlet/X!\n", "images/x/Dockerfile:1: pachlet/X! is no image name"),
        (
            "FROM pachlet/base\nCOPY gone.py /app/\n",
            "images/x/Dockerfile:2: COPY gone.py: there is no such file",
        ),
        (
            "FROM pachlet/base\nCOPY shared.py /usr/bin/x\n",
            "images/x/Dockerfile:2: COPY to /usr/bin/x: that part",
        ),
        ("FROM pachlet/base\nCOPY shared.py /\n", "images/x/Dockerfile:2: COPY to /: that part"),
        ("FROM pachlet/base\nCOPY shared.py /app\n", "images/x/Dockerfile:2: COPY to /app: it is a folder"),
        (
            "FROM pachlet/base\nRUN pip install --no-cache-dir --require-hashes -r r.txt\n",
            "images/x/Dockerfile:2: RUN pip install -r r.txt: no COPY put a file there",
        ),
    ],
)
def test_an_image_that_can_not_be_built_is_refused_with_file_and_line(code, dockerfile, problem):
    write(code, "images/x/Dockerfile", dockerfile)
    with pytest.raises(InvalidArgument) as refused:
        code_digest("pachlet/x", code)
    assert str(refused.value).startswith(problem)
    assert refused.value.hint


def test_a_missing_image_is_named_with_the_nearest_one(code):
    with pytest.raises(
        NotFound, match=r"image pachlet/trian: there is no images/trian/Dockerfile"
    ) as missing:
        code_digest("pachlet/trian", code)
    assert missing.value.hint == "did you mean pachlet/train?"


def test_links_in_the_code_are_refused(code):
    (code / "steps/link.py").symlink_to("train.py")
    write(code, "images/x/Dockerfile", "FROM pachlet/base\nCOPY steps /app/steps\n")
    with pytest.raises(InvalidArgument, match=r"link\.py: it is neither a file nor a folder"):
        code_digest("pachlet/x", code)


def test_any_other_name_is_a_host_image_with_a_warning():
    image = code_digest("ubuntu:20.04", Path("/nonexistent"))
    assert image.kind == "host"
    assert image.digest == code_digest("alpine", Path("/nonexistent")).digest
    assert "ubuntu:20.04 is no folder of images/" in image.warning
    assert image.provenance["os_release"]


def git(code: Path, *words: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
    return subprocess.run(
        ["git", "-C", str(code), *identity, *words], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_git_commit_and_dirty_are_those_of_the_images_own_files(code):
    def state(name: str):
        facts = code_digest(f"pachlet/{name}", code).provenance
        return facts["git_commit"], facts["dirty"]

    assert state("train") == (None, None)
    git(code, "init", "-q")
    assert state("train") == (None, None)
    git(code, "add", ".")
    git(code, "commit", "-q", "-m", "one")
    head = git(code, "rev-parse", "HEAD")
    assert state("train") == (head, False)
    write(code, "unrelated.py", "y = 3\n")
    assert state("train") == (head, False)
    write(code, "steps/train.py", "print('edited')\n")
    assert state("train") == (head, True)
    assert state("ingest") == (head, False)
    git(code, "add", ".")
    assert state("train") == (head, True)
    git(code, "commit", "-q", "-m", "two")
    assert state("train") == (git(code, "rev-parse", "HEAD"), False)


def test_a_file_that_git_does_not_keep_makes_the_code_dirty(code):
    write(code, ".gitignore", "shared.py\nsteps/\n")
    git(code, "init", "-q")
    git(code, "add", ".")
    git(code, "commit", "-q", "-m", "one")
    assert code_digest("pachlet/train", code).provenance["dirty"] is True
    assert code_digest("pachlet/base", code).provenance["dirty"] is False


def test_a_snapshot_is_what_the_digest_says_and_outlives_the_code(code, tmp_path):
    image = code_digest("pachlet/train", code)
    snapshot = tmp_path / "snapshots" / image.digest
    made = make_snapshot(image, code, snapshot)
    assert (snapshot / FILES / "app/steps/train.py").read_text() == "print('train')\n"
    shutil.rmtree(code)
    assert make_snapshot(image, code, snapshot) == made


def test_code_that_changes_while_a_snapshot_is_made_is_refused(code, tmp_path):
    image = code_digest("pachlet/train", code)
    write(code, "steps/train.py", "print('later')\n")
    with pytest.raises(FailedPrecondition, match="changed while it was being made ready"):
        make_snapshot(image, code, tmp_path / "snapshots" / "one")
    assert list((tmp_path / "snapshots").iterdir()) == []


@pytest.mark.parametrize("name", ["files/app/steps/train.py", "image.json"])
def test_a_snapshot_that_was_changed_is_corrupt(code, tmp_path, name):
    image = code_digest("pachlet/train", code)
    make_snapshot(image, code, tmp_path / "snapshot")
    changed = tmp_path / "snapshot" / name
    changed.chmod(0o644)
    changed.write_text("changed")
    with pytest.raises(Corrupt):
        make_snapshot(image, code, tmp_path / "snapshot")
