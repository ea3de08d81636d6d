"""What a new pipeline begins with: a spec, a step, an image and a test, each as short as it can be.

The step needs nothing but Python, so it runs the same in a test, under pachlet and on a cluster.

Read next: verbs/new_pipeline.py (who writes them), docs/start-here.md (pipelines that do more).
"""

from __future__ import annotations

import json
import keyword
import re
import sys
from dataclasses import dataclass
from pathlib import PurePosixPath

from pachlet.errors import Usage
from pachlet.globs import Glob
from pachlet.paths import check_name

_STEP = '''"""{name}: what is made of one datum.

Everything of the datum is below `inputs`, in a folder for each input; what is written below `out` becomes part of
the output commit. Replace what happens to a file here with what should.
"""

from __future__ import annotations

import os
from pathlib import Path


def run(inputs: Path, out: Path) -> None:
    """Write each file in capitals."""
    source = inputs / "{repo}"
    for path in sorted(source.rglob("*")):
        if path.is_file():
            target = out / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(path.read_text().upper())


if __name__ == "__main__":
    pfs = Path(os.environ.get("PFS_ROOT", "/pfs"))
    run(pfs, pfs / "out")
'''

_DOCKERFILE = """\
FROM python:{python}-slim
COPY steps/{module}.py /app/steps/{module}.py
WORKDIR /app
ENV PFS_ROOT=/pfs
"""

_TEST = '''"""The step of the pipeline {name}, as a function: folders in, folders out."""

from __future__ import annotations

from pathlib import Path

from steps.{module} import run


def test_each_file_is_written_in_capitals(tmp_path: Path) -> None:
    datum = tmp_path / "{repo}" / "folder" / "a.txt"
    datum.parent.mkdir(parents=True)
    datum.write_text("hello\\n")
    out = tmp_path / "out"
    run(tmp_path, out)
    assert (out / "folder" / "a.txt").read_text() == "HELLO\\n"
'''


@dataclass(frozen=True)
class FirstPipeline:
    """The names that the files of a new pipeline go by."""

    name: str
    repo: str
    glob: str = "/*"
    project: str = ""

    def check(self) -> None:
        """Refuse names that no pipeline, repo, image or module can have."""
        check_name("pipeline", self.name, project=self.project or "default")
        check_name("repo", self.repo)
        Glob(self.glob)
        if self.repo == "out":
            raise Usage("an input can't be named out", hint="choose another repo")
        if self.repo == self.name:
            raise Usage(f"{self.name} would read what it writes", hint="choose another repo with --repo")

    @property
    def module(self) -> str:
        """The step's name in Python."""
        word = re.sub(r"\W", "_", self.name).lower()
        return f"step_{word}" if word[0].isdigit() or keyword.iskeyword(word) else word

    @property
    def image(self) -> str:
        return self.name.lower()

    @property
    def spec_path(self) -> str:
        return f"pipelines/{self.name}.json"

    def files(self) -> dict[PurePosixPath, str]:
        """Return what is to be written, by where."""
        words = {
            "name": self.name,
            "repo": self.repo,
            "module": self.module,
            "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        }
        texts = {
            self.spec_path: self._spec(),
            f"steps/{self.module}.py": _STEP.format(**words),
            f"images/{self.image}/Dockerfile": _DOCKERFILE.format(**words),
            f"tests/test_{self.module}.py": _TEST.format(**words),
        }
        return {PurePosixPath(path): text for path, text in texts.items()}

    def _spec(self) -> str:
        pipeline = (
            {"project": {"name": self.project}, "name": self.name} if self.project else {"name": self.name}
        )
        spec = {
            "pipeline": pipeline,
            "description": "Writes each file in capitals.",
            "input": {"pfs": {"repo": self.repo, "glob": self.glob}},
            "transform": {
                "image": f"pachlet/{self.image}",
                "cmd": ["python", "-m", f"steps.{self.module}"],
            },
        }
        return json.dumps(spec, indent=2) + "\n"
