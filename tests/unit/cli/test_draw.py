"""Drawings of pipelines and of provenance."""

from __future__ import annotations

from pachlet.cli.verbs.draw_pipeline import drawing
from pachlet.client.provenance import Image, Made, Traced, tree


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


def made(pipeline: str, *inputs: Traced) -> Made:
    image = Image(f"pachlet/{pipeline}", "sha256:aa", "code", "c0ffee" * 6, True)
    return Made("p", pipeline, 2, "5" * 4, "1" * 4, pipeline[0] * 64, image, inputs)


def test_provenance_is_drawn_down_to_what_users_put_and_nothing_twice() -> None:
    raw = Traced("p", "prices", "9", "/raw/a.csv", 5, "beef" * 16)
    clean = Traced("p", "ingest", "8", "/a.csv", 5, "", (made("ingest", raw),))
    folder = Traced("p", "params", "7", "/", 5, "feed" * 16, holds=("/x.json",), not_shown=3)
    gone = Traced("p", "old", "6", "/b", 0, "", gone=True)
    top = Traced("p", "train", "5", "/m", 5, "", (made("train", clean, folder, clean, gone),), not_shown=2)
    assert list(tree(top)) == [
        "p/train@5:/m",
        "├─ datum tttttttttttt of p/train version 2",
        "│  │  job   1111",
        "│  │  spec  p/train.spec@5555",
        "│  │  code  pachlet/train@sha256:aa, git c0ffeec0ffee with changes",
        "│  ├─ p/ingest@8:/a.csv",
        "│  │  └─ datum iiiiiiiiiiii of p/ingest version 2",
        "│  │     │  job   1111",
        "│  │     │  spec  p/ingest.spec@5555",
        "│  │     │  code  pachlet/ingest@sha256:aa, git c0ffeec0ffee with changes",
        "│  │     └─ p/prices@9:/raw/a.csv (put by a user, hash beefbeefbeef)",
        "│  ├─ p/params@7:/ (put by a user, hash feedfeedfeed)",
        "│  │  ├─ /x.json",
        "│  │  └─ and 3 more files",
        "│  ├─ p/ingest@8:/a.csv",
        "│  │  └─ datum iiiiiiiiiiii of p/ingest version 2 (as above)",
        "│  └─ p/old@6:/b (deleted since)",
        "└─ and 2 more datums",
    ]
