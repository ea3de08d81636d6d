"""lint: files, folders and the input, in words and as JSON; what --fix writes and what it leaves alone."""

from __future__ import annotations

import io
import json
import stat
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from pachlet.cli import main
from pachlet.cli.session import Session

OLD = '{"pipeline": {"name": "a"}, "transform": {"cmd": "true"}, "standby": true}\n'
GOOD = '{"pipeline": {"name": "a"}, "transform": {"cmd": ["true"]}, "autoscaling": true}\n'


class Ran:
    """What came of a command."""

    def __init__(self, *words: str, given: bytes = b"") -> None:
        out, err = io.StringIO(), io.StringIO()
        session = Session({}, out=out, err=err, input=io.BytesIO(given), program="pachlet")
        self.status = main.run(session, list(words))
        self.out, self.err = out.getvalue(), err.getvalue()


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_good_file_is_nothing_to_speak_of(here: Path) -> None:
    (here / "a.json").write_text(GOOD)
    ran = Ran("lint", "a.json")
    assert (ran.status, ran.out, ran.err) == (0, "", "")


def test_json_is_for_editors(here: Path) -> None:
    (here / "a.json").write_text(OLD)
    ran = Ran("lint", "a.json", "-o", "json")
    first, second = json.loads(ran.out)
    assert ran.status == 1
    assert (first["line"], first["column"], first["end_column"]) == (
        1,
        OLD.index('"true"') + 1,
        OLD.index('"true"') + 7,
    )
    assert (first["rule"], first["path"], first["severity"]) == ("wrong-kind", "transform.cmd", "error")
    assert first["fix"] == [
        {"start": first["column"] - 1, "end": first["end_column"] - 1, "text": '["true"]'}
    ]
    assert second["hint"] == 'write "autoscaling": true'


def test_fix_writes_and_shows_a_diff_and_keeps_the_mode(here: Path) -> None:
    (here / "a.json").write_text(OLD)
    (here / "a.json").chmod(0o640)
    ran = Ran("lint", "--fix", "a.json")
    assert ran.status == 0
    assert f"-{OLD}" in ran.out
    assert f"+{GOOD}" in ran.out
    assert (here / "a.json").read_text() == GOOD
    assert stat.S_IMODE((here / "a.json").stat().st_mode) == 0o640
    assert Ran("lint", "--fix", "a.json").out == ""


@pytest.mark.parametrize("flags", [["--diff"], ["--fix", "--dry-run"], ["--fix", "--diff"]])
def test_diff_only_shows(here: Path, flags: list[str]) -> None:
    (here / "a.json").write_text(OLD)
    ran = Ran("lint", *flags, "a.json")
    assert ran.status == 1
    assert f"+{GOOD}" in ran.out
    assert (here / "a.json").read_text() == OLD


def test_a_link_is_followed(here: Path) -> None:
    (here / "real.json").write_text(OLD)
    (here / "link.json").symlink_to("real.json")
    Ran("lint", "--fix", "link.json")
    assert (here / "link.json").is_symlink()
    assert (here / "real.json").read_text() == GOOD


def test_a_byte_order_mark_and_line_ends_stay(here: Path) -> None:
    (here / "a.json").write_bytes(b"\xef\xbb\xbf" + OLD.replace("\n", "\r\n").encode())
    Ran("lint", "--fix", "a.json")
    assert (here / "a.json").read_bytes() == b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode()


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("field", ["datumTries", "description"])
def test_what_is_no_number_is_not_mended(here: Path, field: str, text: str) -> None:
    written = GOOD.replace('"autoscaling": true', f'"{field}": {text}')
    (here / "a.json").write_text(written)
    ran = Ran("lint", "--fix", "a.json")
    assert (ran.status, (here / "a.json").read_text()) == (1, written)
    assert f"found {text}, wanted" in ran.out + ran.err


def test_the_input_is_mended_to_the_output() -> None:
    ran = Ran("lint", "--fix", "-", given=OLD.encode())
    assert (ran.status, ran.out) == (0, GOOD)


def test_folders_are_looked_through_without_what_is_hidden(here: Path) -> None:
    for name in ("a/b/one.json", "a/two.yaml", "a/.git/three.json", "a/notes.txt"):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text(OLD if name != "a/two.yaml" else "pipeline: {name: x}\n")
    ran = Ran("lint", "a")
    assert "2 errors and 1 warning in 2 specs of 2 files" in ran.err
    assert Ran("lint", "a/.git").status == 1


def test_rules_are_left_out_and_made_stricter(here: Path) -> None:
    (here / "a.yaml").write_text("pipeline: {name: a}\ntransform: {cmd: [ls], image: alpine}\n")
    assert Ran("lint", "a.yaml").status == 0
    assert Ran("lint", "a.yaml", "--strict").status == 1
    assert Ran("lint", "a.yaml", "--strict", "--ignore", "image-latest").status == 0
    assert Ran("lint", "a.yaml", "--ignore", "nonsense").status == 2
    assert Ran("lint").status == 2


def test_rules_and_the_schema_are_shown() -> None:
    rows = [line.split()[:2] for line in Ran("lint", "--rules").out.splitlines()]
    assert ["image-latest", "warning"] in rows
    assert ["old-field", "error"] in rows
    jsonschema.Draft7Validator.check_schema(json.loads(Ran("lint", "--schema").out))


@pytest.mark.parametrize("name", ["nothing.json", "folder", "\x00"])
def test_what_can_not_be_read_is_said(here: Path, name: str) -> None:
    (here / "folder").mkdir()
    ran = Ran("lint", name)
    assert ran.status == 1
    assert "cannot read" in ran.err or "no spec" in ran.err


def test_no_server_and_no_grpc_is_needed(here: Path) -> None:
    (here / "a.json").write_text(OLD)
    code = "import sys; from pachlet.cli.main import main; main(['lint', 'a.json']); assert 'grpc' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
