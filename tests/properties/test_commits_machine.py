"""Random puts, appends, deletions and branches on a real server, compared with a dictionary.

Read next: tests/acceptance/test_files.py (the same operations one by one).
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pachlet import testing
from pachlet.client import branches, commits, repos
from pachlet.client.connection import Connection
from pachlet.client.names import commit
from tests.acceptance.words import add, delete, head, modify, tree
from tests.examples import examples

BRANCHES = st.sampled_from(["master", "other"])
FILES = st.sampled_from(["/x", "/d/x", "/d/y", "/d/e/x", "/f/x"])
FOLDERS = st.sampled_from(["/", "/d/", "/d/e/"])
TEXTS = st.sampled_from(["", "1", "22", "a longer text\n"])
Files = dict[str, str]

OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), FILES, TEXTS),
        st.tuples(st.just("delete"), FILES | FOLDERS, st.just("")),
        st.tuples(st.just("copy"), FILES | FOLDERS, FILES),
    ),
    min_size=1,
    max_size=5,
)


def changed(files: Files, operations: list[tuple[str, str, str]], copied: Files) -> Files:
    """Return what operations make of files; copies are taken from `copied`."""
    files = dict(files)
    for kind, path, more in operations:
        if kind == "add":
            files[path] = files.get(path, "") + more
        elif kind == "delete":
            for name in [
                each for each in files if each == path or (path[-1] == "/" and each.startswith(path))
            ]:
                del files[name]
        else:
            name = path.rstrip("/")
            for source, text in copied.items():
                if source == name or source.startswith(f"{name}/"):
                    files[more + source[len(name) :]] = text
    return files


def clashes(files: Files) -> bool:
    """Tell whether a file is also a folder."""
    return any(other.startswith(f"{path}/") for path in files for other in files)


class Machine(RuleBasedStateMachine):
    """Keeps what each commit should hold, the heads, and which branch has an open commit."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.running = testing.server(Path(self.folder.name))
        self.connection = Connection(self.running.__enter__().address)
        repos.create_repo(self.connection, "a")
        self.commits: dict[str, Files] = {}
        self.bad: set[str] = set()
        self.parents: dict[str, str | None] = {}
        self.heads: dict[str, str] = {}
        self.open: set[str] = set()

    def teardown(self) -> None:
        try:
            for id, files in self.commits.items():
                if id not in self.open and not clashes(files):
                    assert tree(self.connection, f"a@{id}") == files
        finally:
            self.connection.close()
            self.running.__exit__(None, None, None)
            self.folder.cleanup()

    def base(self, id: str | None) -> Files:
        """Return what a child of a commit starts from."""
        while id is not None and id in self.bad:
            id = self.parents[id]
        return self.commits[id] if id else {}

    def add_commit(self, branch: str, id: str) -> None:
        self.parents[id] = self.heads.get(branch)
        self.commits[id] = dict(self.base(self.parents[id]))
        self.heads[branch] = id

    @rule(branch=BRANCHES, operations=OPERATIONS, source=BRANCHES)
    def write(self, branch: str, operations: Any, source: str) -> None:
        """Send one stream; copies come from the head of `source`, or are left out where there is none."""
        copied = self.commits.get(self.heads.get(source, ""), {})
        if source not in self.heads:
            operations = [each for each in operations if each[0] != "copy"]
        messages = []
        for kind, path, more in operations:
            if kind == "add":
                messages.append(add(path, more))
            elif kind == "delete":
                messages.append(delete(path))
            else:
                src = {"commit": commit("default", f"a@{source}"), "path": path}
                messages.append({"copy_file": {"src": src, "dst": more}})
        modify(self.connection, f"a@{branch}", *messages)
        is_open = self.heads.get(branch) in self.open
        if not is_open:
            self.add_commit(branch, head(self.connection, f"a@{branch}").commit.id)
        id = self.heads[branch]
        self.commits[id] = changed(self.commits[id], operations, copied)
        if not is_open and clashes(self.commits[id]):
            self.bad.add(id)

    @rule(branch=BRANCHES)
    def start(self, branch: str) -> None:
        if self.heads.get(branch) not in self.open:
            self.add_commit(branch, commits.start_commit(self.connection, f"a@{branch}").id)
            self.open.add(self.heads[branch])

    @rule(branch=BRANCHES, is_good=st.booleans())
    def finish(self, branch: str, is_good: bool) -> None:
        id = self.heads.get(branch, "")
        if id in self.open:
            commits.finish_commit(self.connection, f"a@{branch}", error="" if is_good else "no good")
            self.open.remove(id)
            if not is_good or clashes(self.commits[id]):
                self.bad.add(id)

    @rule(branch=BRANCHES, other=BRANCHES)
    def move(self, branch: str, other: str) -> None:
        if branch != other and other in self.heads and self.heads[other] not in self.open:
            if self.heads.get(branch) in self.open:
                return
            branches.create_branch(self.connection, f"a@{branch}", head=self.heads[other])
            self.heads[branch] = self.heads[other]

    @rule(branch=BRANCHES)
    def remove(self, branch: str) -> None:
        if branch in self.heads and self.heads[branch] not in self.open:
            branches.delete_branch(self.connection, f"a@{branch}")
            del self.heads[branch]

    @invariant()
    def heads_hold_what_they_should(self) -> None:
        for branch, id in self.heads.items():
            info = head(self.connection, f"a@{branch}")
            assert info.commit.id == id
            assert info.parent_commit.id == (self.parents[id] or "")
            if not clashes(self.commits[id]):  # of a file that is also a folder a tar can't be unpacked
                assert tree(self.connection, f"a@{branch}") == self.commits[id]
            assert bool(commits.inspect_commit(self.connection, f"a@{branch}").error) == (id in self.bad)


TestCommits = Machine.TestCase
TestCommits.settings = settings(max_examples=examples(0.15), stateful_step_count=20)
