"""Drawings of pipelines and of lineage."""

from __future__ import annotations

from typing import Any

from pachlet.cli.verbs.draw_pipeline import drawing
from pachlet.client.lineage.graph import Commit, File, Graph, Run
from pachlet.client.lineage.text import tree


def test_pipeline_with_several_inputs_goes_on_below_the_last() -> None:
    p = "p"
    reads = {
        (p, "model"): [(p, "training")],
        (p, "predict"): [(p, "model"), ("q", "attributes")],
        (p, "report"): [(p, "predict")],
    }
    assert list(drawing(reads, p)) == [
        "training (repo)",
        "└─ model",
        "   └─ predict ...",
        "q/attributes (repo)",
        "└─ predict",
        "   └─ report",
    ]


def a_file(repo: str, commit: str, path: str, *runs: int, hash: str = "", **more: Any) -> File:
    return File("p", repo, commit, path, 5, hash, list(runs), **more)


def a_run(pipeline: str, *files: int, started: str = "") -> Run:
    facts = {"git_commit": "c0ffee" * 6, "dirty": True}
    image = {"image": f"pachlet/{pipeline}", "digest": "sha256:aa", "facts": facts}
    return Run(
        "p", pipeline, "1" * 4, pipeline[0] * 64, 2, "5" * 4, files=list(files), started=started, **image
    )


def test_lineage_is_drawn_to_what_users_put_and_nothing_twice() -> None:
    graph = Graph(
        is_down=False,
        files=[
            a_file("train", "5", "/m", 0, not_shown=2),
            a_file("ingest", "8", "/a.csv", 1),
            a_file("params", "7", "/", hash="feed" * 16, holds=["/x.json"], not_shown=3),
            a_file("old", "6", "/b", is_gone=True),
            a_file("prices", "9", "/raw/a.csv", hash="beef" * 16),
        ],
        runs=[a_run("train", 1, 2, 1, 3, started="NOW"), a_run("ingest", 4)],
        commits={"p/train@1111": Commit(started="BEFORE", metadata={"trigger": "p/prices@master"})},
    )
    assert list(tree(graph)) == [
        "p/train@5:/m",
        "├─ datum tttttttttttt of p/train version 2",
        "│  │  job   1111",
        "│  │  when  NOW",
        "│  │  why   p/prices@master",
        "│  │  spec  p/train.spec@5555",
        "│  │  code  pachlet/train@sha256:aa, git c0ffeec0ffee with changes",
        "│  ├─ p/ingest@8:/a.csv",
        "│  │  └─ datum iiiiiiiiiiii of p/ingest version 2",
        "│  │     │  job   1111",
        "│  │     │  spec  p/ingest.spec@5555",
        "│  │     │  code  pachlet/ingest@sha256:aa, git c0ffeec0ffee with changes",
        "│  │     └─ p/prices@9:/raw/a.csv (put by a user, hash beefbeefbeef)",
        "│  ├─ p/params@7:/ (hash feedfeedfeed)",
        "│  │  ├─ /x.json (put by a user)",
        "│  │  └─ and 3 more files",
        "│  ├─ p/ingest@8:/a.csv",
        "│  │  └─ datum iiiiiiiiiiii of p/ingest version 2 (as above)",
        "│  └─ p/old@6:/b (deleted since)",
        "└─ and 2 more datums",
    ]
