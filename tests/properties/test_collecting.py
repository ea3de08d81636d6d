"""Garbage collection: whatever was done before, it loses nothing, leaves nothing and takes little more room.

A machine writes, copies, deletes, restarts and collects at random; a model in memory says what must be there.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from unittest.mock import patch

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pachlet.pfs import index
from pachlet.pfs.collecting import SLACK
from pachlet.pfs.index import DatabaseIndex
from pachlet.pfs.records import CommitRecord
from pachlet.pfs.uploads import Upload
from pachlet.storage.hashing import chunk_hash
from pachlet.storage.marking import Marks
from tests.examples import examples
from tests.pfs_rooms import Rooms

PACK_SIZE = 6000
RECORD = 48
# Few contents, so that what is deleted comes back; each is one chunk that can't be compressed.
CONTENTS = [b"".join(chunk_hash(b"%d %d" % (i, j)) for j in range(10 + 5 * i)) for i in range(12)]
REPOS = ["a", "b", "c"]

repos = st.sampled_from(REPOS)
files = st.dictionaries(
    st.sampled_from([f"/d{i}/f{j}" for i in range(2) for j in range(4)]),
    st.integers(0, 11).map(lambda number: CONTENTS[number]),
    max_size=4,
)


class Collecting(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.ahead = patch.object(index, "_FEW_ROWS", 2)  # most puts record where chunks lie before they end
        self.ahead.start()
        self.folder = Path(tempfile.mkdtemp())
        self.rooms = Rooms(self.folder, PACK_SIZE)
        for name in REPOS:
            self.rooms.create_repo(name)
        self.commits: dict[str, list[tuple[CommitRecord, dict[str, bytes]]]] = {name: [] for name in REPOS}
        self.open: set[str] = set()
        self.uploads: list[tuple[Upload, dict[str, bytes]]] = []

    def teardown(self) -> None:
        if hasattr(self, "rooms"):
            self.ahead.stop()
            self.rooms.close()
            shutil.rmtree(self.folder)

    def note(self, name: str, changed: dict[str, bytes]) -> None:
        before = self.commits[name][-1][1] if self.commits[name] else {}
        head = self.rooms.head(name)
        if self.commits[name] and self.commits[name][-1][0].key == head.key:
            self.commits[name].pop()
        self.commits[name].append((head, before | changed))

    @rule(name=repos, changed=files)
    def put(self, name: str, changed: dict[str, bytes]) -> None:
        self.rooms.put(name, changed.items())
        self.note(name, changed)

    @rule(name=repos)
    def start(self, name: str) -> None:
        if name not in self.open:
            self.rooms.start(name)
            self.open.add(name)
            self.note(name, {})

    @rule(name=repos)
    def finish(self, name: str) -> None:
        if name in self.open:
            self.rooms.finish(name)
            self.open.discard(name)
            self.note(name, {})

    @rule(source=repos, name=repos, number=st.integers(0, 3))
    def copy(self, source: str, name: str, number: int) -> None:
        finished = self.commits[source][: -1 if source in self.open else None]
        if finished:
            commit, content = finished[number % len(finished)]
            upload = self.rooms.upload()
            upload.copy(self.rooms.files.open_finished(commit.root), "/", f"/copy{number}", append=False)
            changed = {f"/copy{number}{path}": data for path, data in content.items()}
            self.uploads.append((upload, changed))

    @rule(changed=files)
    def begin_upload(self, changed: dict[str, bytes]) -> None:
        self.uploads.append((self.rooms.upload(changed.items()), changed))

    @precondition(lambda self: self.uploads)
    @rule(name=repos)
    def end_upload(self, name: str) -> None:
        upload, changed = self.uploads.pop(0)
        self.rooms.write(name, upload)
        self.note(name, changed)

    @precondition(lambda self: self.uploads)
    @rule()
    def give_up(self) -> None:
        self.uploads.pop()

    @rule(name=repos)
    def delete(self, name: str) -> None:
        self.rooms.delete_repo(name)
        self.rooms.create_repo(name)
        self.commits[name] = []
        self.open.discard(name)

    @rule()
    def restart(self) -> None:
        self.uploads = []
        self.rooms.close()
        self.rooms = Rooms(self.folder, PACK_SIZE)

    @rule(source=repos, name=repos)
    def delete_what_is_being_put_again(self, source: str, name: str) -> None:
        """An upload leans on chunks that nothing else refers to any more when the collector looks."""
        if self.commits[source]:
            content = self.commits[source][-1][1]
            upload = self.rooms.upload(content.items())
            self.delete(source)
            self.rooms.collect(slack=0.0)
            self.rooms.write(name, upload)
            self.note(name, content)

    @rule(slack=st.sampled_from([0.0, SLACK]))
    def collect(self, slack: float) -> None:
        self.rooms.collect(slack=slack)
        self.check_size(slack)

    def check_size(self, slack: float) -> None:
        with self.rooms.database.read() as db:
            rows = db.all("chunks_after", after=b"", number=10_000)
            roots = [row["root"] for row in db.all("tree_roots")]
        marks = Marks(DatabaseIndex(self.rooms.database))
        for root in roots:
            marks.add_tree(root)
        needed = {
            data for commits in self.commits.values() for _, content in commits for data in content.values()
        }
        needed |= {data for _, changed in self.uploads for data in changed.values()}
        # What an open commit overwrote is still staged, so only these are exact.
        chunks = {row["hash"] for row in rows}
        if not self.open and not self.uploads:
            assert chunks == {chunk_hash(data) for data in needed}
        assert self.rooms.hashes("nodes") == marks.nodes
        live = sum(RECORD + row["stored"] for row in rows)
        # The rest: heads of packs, the packs that uploads are at work in, and the slack.
        packs = len(list(self.rooms.store.directory.iterdir()))
        being_written = (len(self.uploads) + 1) * (PACK_SIZE + len(CONTENTS[-1])) if self.uploads else 0
        assert self.rooms.packs() <= live / (1 - slack) + 16 * packs + being_written

    @invariant()
    def all_is_there(self) -> None:
        for commits in self.commits.values():
            for record, content in commits[-3:]:
                assert self.rooms.read(record) == content


Collecting.TestCase.settings = settings(max_examples=examples(0.25), stateful_step_count=25)
TestCollecting = Collecting.TestCase
