"""Environments are made from pinned, hash-checked requirements, once; from a wheel made here, without a network."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import zipfile
from pathlib import Path

import pytest

from pachlet.errors import FailedPrecondition, Unavailable
from pachlet.worker.environments import make_environment
from pachlet.worker.interpreters import find_interpreter

WHEEL = "coins-1.0-py3-none-any.whl"


def make_wheel(folder: Path) -> str:
    """Write a wheel with one module and return its hash."""
    files = {
        "coins.py": "NAME = 'coins'\n",
        "coins-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: coins\nVersion: 1.0\n",
        "coins-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = [f"{name},sha256={record(text)},{len(text)}" for name, text in files.items()]
    files["coins-1.0.dist-info/RECORD"] = "\n".join([*lines, "coins-1.0.dist-info/RECORD,,"])
    with zipfile.ZipFile(folder / WHEEL, "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
    return hashlib.sha256((folder / WHEEL).read_bytes()).hexdigest()


def record(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture
def requirements(tmp_path: Path) -> Path:
    digest = make_wheel(tmp_path)
    path = tmp_path / "requirements.txt"
    path.write_text(f"--no-index\n--find-links {tmp_path.as_uri()}\ncoins==1.0 --hash=sha256:{digest}\n")
    return path


def test_an_environment_has_what_is_pinned_and_is_made_once(tmp_path, requirements):
    said: list[str] = []
    made = make_environment("3.11", [requirements], tmp_path / "envs", said.append)
    assert made.packages == ("coins==1.0",)
    assert made.interpreter.version.startswith("3.11.")
    assert len(said) == 2
    python = made.folder / "bin" / "python"
    command = [python, "-I", "-c", "import coins; print(coins.NAME, coins.__cached__)"]
    name, cached = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert name == "coins"
    assert Path(cached).is_file()  # compiled when it was made

    assert make_environment("3.11", [requirements], tmp_path / "envs", said.append) == made
    assert len(said) == 2


def test_other_requirements_get_another_environment(tmp_path, requirements):
    with_coins = make_environment("3.11", [requirements], tmp_path / "envs", lambda line: None)
    bare = make_environment("3.11", [], tmp_path / "envs", lambda line: None)
    assert bare.packages == ()
    assert bare.folder != with_coins.folder
    assert bare.digest != with_coins.digest


def test_an_environment_that_was_not_finished_is_made_anew(tmp_path, requirements):
    made = make_environment("3.11", [requirements], tmp_path / "envs", lambda line: None)
    (made.folder / "pachlet-environment.json").unlink()
    (made.folder / "half").touch()
    make_environment("3.11", [requirements], tmp_path / "envs", lambda line: None)
    assert not (made.folder / "half").exists()


def test_a_hash_that_does_not_match_is_told_in_uvs_words(tmp_path, requirements):
    text = requirements.read_text()
    requirements.write_text(text[: text.index("sha256:")] + "sha256:" + "0" * 64 + "\n")
    with pytest.raises(FailedPrecondition, match=r"(?s)uv pip install failed:.*[Hh]ash") as refused:
        make_environment("3.11", [requirements], tmp_path / "envs", lambda line: None)
    assert "requirements.txt" in refused.value.hint


def test_an_index_out_of_reach_is_told_as_such(tmp_path, monkeypatch):
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(f"--index-url http://127.0.0.1:1/simple\ncoins==1.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(Unavailable) as refused:
        make_environment("3.11", [requirements], tmp_path / "envs", lambda line: None)
    assert "package index" in refused.value.hint


def test_an_interpreter_is_one_that_answers():
    found = find_interpreter("3.11")
    said = subprocess.run([found.executable, "--version"], capture_output=True, text=True, check=True).stdout
    assert said.split()[1] == found.version
    assert not (found.prefix / "pyvenv.cfg").exists()


def test_a_python_that_does_not_exist_is_told_with_a_next_step():
    with pytest.raises(Unavailable, match=r"there is no Python 3\.99") as refused:
        find_interpreter("3.99")
    assert "python3.99" in refused.value.hint
