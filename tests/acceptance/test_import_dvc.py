"""A DVC project becomes pipelines: the same results as its stages give, and only what changed runs again."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pachlet import testing
from pachlet.cli.dvc.pipelines import Asked, import_project
from pachlet.cli.dvc.project import read_project
from pachlet.client.connection import Connection
from pachlet.errors import InvalidArgument, PachletError
from tests.acceptance.typed import Terminal
from tests.acceptance.words import ended, last_job, put, tree

CLEAN = """
import os, sys, yaml_free as params
source, target = sys.argv[1:]
os.makedirs(target, exist_ok=True)
for name in os.listdir(source):
    with open(os.path.join(source, name)) as text, open(os.path.join(target, name), "w") as out:
        out.write(text.read().upper() + params.read("params.yaml")["mark"])
"""
COUNT = """
import os, sys
word, source, target = sys.argv[1:]
texts = [open(os.path.join(source, name)).read() for name in sorted(os.listdir(source))]
open(target, "w").write(f"{word} {sum(text.count(word) for text in texts)}\\n")
"""
PARAMS = """
def read(path):
    return dict(line.strip().split(": ", 1) for line in open(path) if ": " in line)
"""
DVC: dict[str, Any] = {
    "vars": [{"words": ["A", "B"]}],
    "stages": {
        "clean": {
            "cmd": "python src/clean.py data/raw data/clean",
            "deps": ["data/raw", "src/clean.py"],
            "params": ["mark"],
            "outs": ["data/clean"],
        },
        "count": {
            "foreach": "${words}",
            "do": {
                "cmd": "python src/count.py ${item} data/clean counts/${item}.txt",
                "deps": ["data/clean", "src/count.py"],
                "metrics": [{"counts/${item}.txt": {"cache": False}}],
            },
        },
        "report": {
            "wdir": "counts",
            "cmd": ["cat A.txt B.txt > ../report.txt", "echo ${mark} >> ../report.txt"],
            "deps": ["A.txt", "B.txt"],
            "outs": ["../report.txt"],
        },
    },
}
FILES = {
    "dvc.yaml": yaml.safe_dump(DVC),
    "params.yaml": "mark: '!'\n",
    "src/clean.py": CLEAN,
    "src/yaml_free.py": PARAMS,
    "src/count.py": COUNT,
    "data/raw.dvc": yaml.safe_dump({"outs": [{"md5": "0.dir", "path": "raw"}]}),
    "data/raw/1.txt": "abba",
    "data/raw/2.txt": "bee",
    "data/raw/3.txt": "c",
}


def project(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return project(tmp_path / "project", FILES)


@pytest.fixture
def connection(tmp_path: Path, folder: Path) -> Iterator[Connection]:
    with testing.server(tmp_path / "data", code=folder) as running, Connection(running.address) as connection:
        yield connection


def test_p20_a_project_runs_and_skips_what_is_unchanged(
    connection: Connection, folder: Path, tmp_path: Path
) -> None:
    terminal = Terminal(str(connection.address), tmp_path)
    words = ("import", "dvc", str(folder), "--each", "data/raw", "--code", "src/yaml_free.py")
    done = terminal.ok(*words)
    assert done.out.count("wrote ") == 8
    told = [line.split() for line in done.err.splitlines() if line.startswith("  ")]
    for _, *typed in told:
        terminal.ok(*typed)
    names = ("clean", "count-A", "count-B", "report")
    assert [ended(last_job(connection, each))[:3] for each in names] == [
        ("SUCCESS", 3, 0),
        ("SUCCESS", 1, 0),
        ("SUCCESS", 1, 0),
        ("SUCCESS", 1, 0),
    ]
    by_dvc = reproduced(project(tmp_path / "by hand", FILES))
    ours = {path: text for each in names for path, text in tree(connection, f"{each}@master").items()}
    assert ours == by_dvc
    # One file of three is changed: one datum of three runs.
    put(connection, "data-raw@master", {"/data/raw/2.txt": "bees, bees"})
    assert [ended(last_job(connection, each))[:3] for each in names] == [
        ("SUCCESS", 1, 2),
        ("SUCCESS", 1, 0),
        ("SUCCESS", 1, 0),
        ("SUCCESS", 1, 0),
    ]
    assert tree(connection, "report@master") == {"/report.txt": "A 2\nB 4\n!\n"}
    # Again, nothing is new; what somebody changed is not overwritten.
    terminal.ok(*words)
    (folder / "pipelines" / "clean.json").write_text("mine")
    refused = terminal.run(*words)
    assert (refused.status, "pipelines/clean.json would be changed" in refused.err) == (1, True)


def reproduced(folder: Path) -> dict[str, str]:
    """Run the commands of the stages as DVC would, in order; return what they wrote."""
    (folder / "counts").mkdir()
    stages = [
        ("", "python src/clean.py data/raw data/clean"),
        ("", "python src/count.py A data/clean counts/A.txt"),
        ("", "python src/count.py B data/clean counts/B.txt"),
        ("counts", "cat A.txt B.txt > ../report.txt"),
        ("counts", "echo '!' >> ../report.txt"),
    ]
    for at, command in stages:
        command = command.replace("python ", f"{shlex.quote(sys.executable)} ")
        subprocess.run(command, shell=True, cwd=folder / at, check=True)
    written = [*(folder / "data" / "clean").iterdir(), *(folder / "counts").iterdir(), folder / "report.txt"]
    return {f"/{path.relative_to(folder)}": path.read_text() for path in written}


def spec_of(made: Any, name: str) -> Any:
    return yaml.safe_load(made.files[f"pipelines/{name}.json"])


def test_a_matrix_is_a_pipeline_for_each_choice(tmp_path: Path) -> None:
    stages = {
        "train": {
            "matrix": {"model": ["cnn", "tree"], "seed": [1, 2]},
            "cmd": "train ${item.model} --seed ${item.seed}",
            "deps": ["in.csv"],
            "outs": ["${item.model}-${item.seed}.pkl"],
        },
        "best": {"cmd": "best", "deps": ["cnn-1.pkl", "tree-2.pkl"], "outs": ["best.pkl"]},
    }
    files = {
        "dvc.yaml": yaml.safe_dump({"stages": stages}),
        "in.csv.dvc": "outs: [{path: in.csv}]",
        "in.csv": "",
    }
    made = import_project(read_project(project(tmp_path, files)), Asked(project="models"))
    assert sorted(name for name in made.files if name.endswith("json")) == [
        "pipelines/best.json",
        "pipelines/train-cnn-1.json",
        "pipelines/train-cnn-2.json",
        "pipelines/train-tree-1.json",
        "pipelines/train-tree-2.json",
    ]
    assert made.repos == {"in-csv": "in.csv"}
    assert spec_of(made, "train-tree-2")["pipeline"] == {
        "project": {"name": "models"},
        "name": "train-tree-2",
    }
    read = [each["pfs"]["repo"] for each in spec_of(made, "best")["input"]["cross"]]
    assert read == ["train-cnn-1", "train-tree-2"]


@pytest.mark.parametrize(
    "stage, said",
    [
        ({"cmd": "x", "deps": ["nowhere.csv"]}, "stage s needs nowhere.csv: no stage writes it"),
        ({"cmd": "x", "deps": []}, "stage s reads no data"),
        ({"cmd": "x ${a.b}", "deps": []}, r"\$\{a.b\} stands for nothing"),
        ({"cmd": "x", "deps": ["/etc/passwd"]}, "stage s names /etc/passwd, which is outside"),
        ({"cmd": "x", "deps": ["s3://bucket/x"]}, "stage s names s3://bucket/x, which is outside"),
        ("text", "stage s is no mapping"),
        *(
            ({"cmd": "x", key: 5}, f"stage s: {key}: found 5, wanted a list")
            for key in ("deps", "plots", "params")
        ),
        ({"foreach": 5, "do": {}}, "stage s: foreach: found 5, wanted a list"),
        ({"foreach": [1], "do": 5}, "stage s: do: found 5, wanted a mapping"),
        ({"matrix": [1], "cmd": "x"}, "stage s: matrix: found a list, wanted a mapping"),
        ({"matrix": {"a": 5}, "cmd": "x"}, "stage s: matrix: a: found 5, wanted a list"),
    ],
)
def test_what_can_not_be_imported_is_said(tmp_path: Path, stage: Any, said: str) -> None:
    project(tmp_path, {"dvc.yaml": yaml.safe_dump({"stages": {"s": stage}})})
    with pytest.raises(PachletError, match=said):
        import_project(read_project(tmp_path), Asked())


@pytest.mark.parametrize(
    "text, said",
    [
        ("stages: 7", "dvc.yaml: stages: found 7, wanted a mapping"),
        ("vars: 5", "dvc.yaml: vars: found 5, wanted a list"),
        ("stages:\n  s: [1, 2\n", "dvc.yaml:3:1: this is no YAML: while parsing a flow sequence"),
        (
            "stages:\n  a: {cmd: x, deps: [b], outs: [a]}\n  b: {cmd: x, deps: [a], outs: [b]}\n",
            "stages read each other: (a → b → a|b → a → b)",
        ),
    ],
)
def test_a_file_that_makes_no_sense_is_told_where(tmp_path: Path, text: str, said: str) -> None:
    terminal = Terminal("127.0.0.1:1", tmp_path)
    done = terminal.run("import", "dvc", str(project(tmp_path / "project", {"dvc.yaml": text})))
    assert done.status == 1
    assert re.search(said, done.err)
    assert "<unicode" not in done.err


def test_each_names_what_is_read(folder: Path) -> None:
    with pytest.raises(InvalidArgument, match="--each data/none: no stage has it"):
        import_project(read_project(folder), Asked(each=["data/none"], code=["src/yaml_free.py"]))
