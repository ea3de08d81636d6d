"""What holds for every module: it says what it is, and only the edges touch the world outside."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.house.modules import FOLDERS, ROOT, Module, modules

ENGINE = modules("pachlet")
OURS = modules(*(folder for folder in FOLDERS if folder != "tests"))
TESTS = modules("tests")
EDGES = {
    "print": ("pachlet/step.py",),
    "sys.exit": ("pachlet/cli/", "pachlet/step.py"),
    "os.environ": ("pachlet/cli/", "pachlet/config.py", "pachlet/step.py", "pachlet/worker/steps.py"),
    "os.getenv": (),
    "time.time": ("pachlet/cli/", "pachlet/clock.py"),
    "time.time_ns": ("pachlet/clock.py",),
    "time.sleep": ("pachlet/cli/",),
    "datetime.now": (),
    "datetime.utcnow": (),
    "date.today": (),
}
"""Who may read the environment and the clock, print and end the process; step.py and steps.py run with a step."""
EMPTY_WORDS = {"utils", "util", "helpers", "helper", "common", "misc", "base"}
APPLICATIONS = {"crypto", "iris", "coin", "coins", "bitcoin"}


def test_modules_were_found() -> None:
    assert len(ENGINE) > 100
    assert len(OURS) > 150


def test_every_module_says_what_it_is() -> None:
    assert not [each.name for each in [*OURS, *TESTS] if not each.docstring]


def test_every_module_of_the_engine_says_what_to_read_next() -> None:
    leaves = {"__init__.py", "errors.py"}
    silent = [each.name for each in ENGINE if "Read next: " not in each.docstring]
    assert not [name for name in silent if name.rpartition("/")[2] not in leaves]


def test_docstrings_name_files_that_are_there() -> None:
    missing = [(each.name, name) for each in OURS for name in named_files(each) if not is_there(each, name)]
    assert not missing


def named_files(module: Module) -> Iterator[str]:
    """Yield the files that a docstring names."""
    yield from re.findall(
        r"(?<![\w/<*-])((?:[\w.-]+/)*[\w-]+\.(?:py|md|sql|proto))(?![\w/])", module.docstring
    )


def is_there(module: Module, name: str) -> bool:
    """Tell whether a file is where a reader would look: from the module's folder upwards, or in a room."""
    return any((place / name).exists() for place in [*module.path.parents, ROOT / "pachlet"])


def test_names_of_modules_say_something() -> None:
    assert not [each.name for each in [*OURS, *TESTS] if each.path.stem in EMPTY_WORDS]


def test_only_the_edges_touch_the_world() -> None:
    uses = [(each.name, use) for each in ENGINE for use in sorted(set(each.uses()) & set(EDGES))]
    assert ("pachlet/clock.py", "time.time_ns") in uses
    assert not [(name, use) for name, use in uses if not name.startswith(EDGES[use] or "-")]


def test_no_test_sleeps() -> None:
    assert not [each.name for each in TESTS if {"time.sleep", "asyncio.sleep"} & set(each.uses())]


def test_soak_looks_at_more_examples_of_every_property() -> None:
    fixed = re.compile(r"max_examples=\d|derandomize")
    assert not [each.name for each in modules("tests/properties") if fixed.search(each.path.read_text())]


def test_engine_knows_no_application() -> None:
    knowing = {each.name: APPLICATIONS & words(each) for each in ENGINE}
    assert not {name: found for name, found in knowing.items() if found}
    assert "crypto" in words(Module(ROOT / "pipelines" / "main_job.py"))


def words(module: Module) -> set[str]:
    return set(re.findall(r"[a-z]+", module.path.read_text().lower()))


def test_nothing_says_later() -> None:
    """No TODO, no stub, no excuse: what is not there is refused by name."""
    excuses = re.compile(r"\b(TODO|FIXME|XXX|HACK|NotImplementedError|for now(?! and))\b")
    assert not [each.name for each in OURS if excuses.search(each.path.read_text())]
