"""Other tools that make files from files, where they are installed: count each file's bytes, then add them up.

None of them isolates a step or records what it read. Each has a folder of its own, with the files in `in`.

make is on most machines; for snakemake: `python -m venv V; V/bin/pip install snakemake; PATH=V/bin:$PATH make bench`.

Read next: incremental.py.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

_MAKE = """FILES := $(wildcard in/*)
COUNTS := $(FILES:in/%=out/%)
total: $(COUNTS)
\t@cat out/* | awk '{ sum += $$1 } END { print sum }' > $@
out/%: in/%
\t@wc -c < $< > $@
"""
_SNAKEMAKE = """FILES = glob_wildcards("in/{name}").name
rule total:
    input: expand("out/{name}", name=FILES)
    output: "total"
    shell: "cat out/* | awk '{{ sum += $1 }} END {{ print sum }}' > {output}"
rule count:
    input: "in/{name}"
    output: "out/{name}"
    shell: "wc -c < {input} > {output}"
"""


class Peer:
    """One tool and its folder."""

    def __init__(self, name: str, place: Path, words: Sequence[str], rules: str, text: str) -> None:
        self.name = name
        self.place = place
        self._words = words
        (place / "out").mkdir(parents=True)
        (place / rules).write_text(text)

    def run(self) -> None:
        """Bring everything up to date, two at a time."""
        subprocess.run(
            self._words,
            check=True,
            cwd=self.place,
            env={**os.environ, "XDG_CACHE_HOME": str(self.place / "cache")},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


def installed(place: Path) -> list[Peer]:
    """Return the peers that are there; say which are not."""
    found = []
    for words, rules, text in (
        (["make", "-j2", "-s", "total"], "Makefile", _MAKE),
        (["snakemake", "total", "--cores", "2", "--quiet"], "Snakefile", _SNAKEMAKE),
    ):
        if shutil.which(words[0]) is None:
            print(f"{words[0]} is not installed here, so it is not measured")
            continue
        found.append(Peer(words[0], place / words[0], words, rules, text))
    return found
