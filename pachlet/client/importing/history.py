"""Copy the commits and branches of one repo, the oldest first; only those that are not there yet.

A copy is made in the open: StartCommit, its mark, its content, FinishCommit. If that is broken off, the next
run drops the open commit and makes it anew, so a finished copy is always whole. Commits are made on the
branch that they belong to where its head is their parent, as it was when they were made; where histories
fork, on a branch of ours that is deleted at the end. Then the branches are put where they are at the source.

Not copied: what is still open there (the next run brings it), and the provenance of branches, since a commit
on a branch with provenance can't be written to by anyone.

Read next: difference.py, marks.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain

from pachlet.client import names
from pachlet.client.branches import create_branch, delete_branch, list_branch
from pachlet.client.commits import (
    drop_commit,
    finish_commit,
    inspect_commit,
    list_commit,
    start_commit,
    wait_commit,
)
from pachlet.client.connection import Connection, Message
from pachlet.client.importing import difference
from pachlet.client.importing.marks import COMMIT, FROM, mark_commit, mark_repo
from pachlet.client.repos import create_repo, inspect_repo
from pachlet.errors import AlreadyExists, Corrupt, FailedPrecondition, NotFound

Advance = Callable[[int], None]
Tell = Callable[[str], None]

SIDE_BRANCH = "pachlet-import"
"""Where commits are made whose parent is no branch's head."""


@dataclass
class Copied:
    """What came of copying one repo."""

    repo: str
    commits: int = 0
    bytes: int = 0
    known: int = 0
    notes: list[str] = field(default_factory=list)


def copy_repo(
    source: Connection, target: Connection, info: Message, deployment: str, advance: Advance
) -> Copied:
    """Copy a repo, or what is new of it; `info` is its RepoInfo at the source, `deployment` the source."""
    return _Copy(source, target, info, deployment, advance).run()


class _Copy:
    def __init__(
        self, source: Connection, target: Connection, info: Message, deployment: str, advance: Advance
    ) -> None:
        self._source = source
        self._target = target
        self._info = info
        self._repo = names.show_repo(info.repo)
        self._deployment = deployment
        self._advance = advance
        self._done = Copied(self._repo)
        self._ids: dict[str, str] = {}
        """The copy of each original."""
        self._originals: dict[str, Message] = {}
        self._heads: dict[str, str] = {}
        """Where the target's branches are."""

    def run(self) -> Copied:
        self._settle_in()
        self._done.known = len(self._ids)
        self._heads = {each.branch.name: each.head.id for each in list_branch(self._target, self._repo)}
        branches = list(list_branch(self._source, self._repo, reverse=True))
        originals = list(list_commit(self._source, self._repo, all=True, reverse=True))
        self._originals = {each.commit.id: each for each in originals}
        homes = self._homes(branches)
        made = []
        for original in originals:
            if not original.HasField("finished"):
                self._done.notes.append(f"commit {original.commit.id} is not finished at the source")
            elif original.commit.id not in self._ids:
                made.append(self._copy_commit(original, homes.get(original.commit.id, "")))
        self._check(made)
        self._place(branches)
        if SIDE_BRANCH in self._heads:
            delete_branch(self._target, f"{self._repo}@{SIDE_BRANCH}")
        return self._done

    def _settle_in(self) -> None:
        """Make the repo, or find what is there of it; refuse one that holds anything else."""
        try:
            there = inspect_repo(self._target, self._repo)
        except NotFound:
            create_repo(self._target, self._repo, description=self._info.description)
            mark_repo(self._target, self._repo, self._info.metadata, self._deployment)
            return
        is_ours = there.metadata.get(FROM) == self._deployment
        for info in list(
            list_commit(self._target, self._repo, all=True)
        ):  # newest first, so open ones come first
            original = info.metadata.get(COMMIT, "")
            if info.HasField("finishing") and original and info.metadata.get(FROM) == self._deployment:
                self._ids[original] = info.commit.id
            elif is_ours and not info.HasField("finishing") and (original or not _holds_data(info)):
                self._drop(info)  # broken off by an earlier run
            else:
                raise AlreadyExists(
                    f"repo {self._repo} is there with other content: commit {info.commit.id} is no copy",
                    hint="rename or delete that repo, or name the repos to import",
                )
        if not is_ours:
            mark_repo(self._target, self._repo, self._info.metadata, self._deployment)
        if there.description != self._info.description:
            create_repo(self._target, self._repo, description=self._info.description, update=True)

    def _drop(self, info: Message) -> None:
        """Drop an open commit of the target."""
        if not info.HasField(
            "parent_commit"
        ):  # its branch would get an empty commit in its place, which is no copy
            for each in list(list_branch(self._target, self._repo)):
                if each.head.id == info.commit.id:
                    delete_branch(self._target, f"{self._repo}@{each.branch.name}")
        drop_commit(self._target, f"{self._repo}@{info.commit.id}")

    def _homes(self, branches: list[Message]) -> dict[str, str]:
        """Return the branch that each commit belongs to: the oldest one that it is in the history of."""
        homes: dict[str, str] = {}
        plain = (each for each in branches if not each.HasField("trigger"))
        for each in plain:
            for commit in self._upwards(each.head.id):
                if homes.setdefault(commit, each.branch.name) != each.branch.name:
                    break
        return homes

    def _upwards(self, commit: str) -> Iterator[str]:
        """Yield a commit of the source and its ancestors."""
        while commit in self._originals:
            yield commit
            commit = self._originals[commit].parent_commit.id

    def _copy_commit(self, original: Message, home: str) -> str:
        """Copy one commit; return the id of the copy."""
        parent = ""
        if original.HasField("parent_commit"):
            parent = self._ids.get(original.parent_commit.id, "")
            if not parent:
                raise NotFound(
                    f"the parent of commit {self._repo}@{original.commit.id} went away meanwhile",
                    hint="import once more",
                )
        copy = self._start(original, parent, home)
        mark_commit(self._target, copy, original, self._deployment)
        try:
            self._write(copy, original)
        except FailedPrecondition:  # a file is purged: nobody shall wait for what will never be finished
            self._drop(inspect_commit(self._target, copy))
            raise
        finish_commit(self._target, copy, description=original.description, error=original.error)
        identifier = copy.partition("@")[2]
        self._ids[original.commit.id] = identifier
        self._done.commits += 1
        return identifier

    def _start(self, original: Message, parent: str, home: str) -> str:
        branch, head = home, self._heads.get(home, "")
        if not home or (head and head != parent) or (home == SIDE_BRANCH):
            branch, head = SIDE_BRANCH, self._heads.get(SIDE_BRANCH, "")
            if head and not parent:  # a commit on a branch that is there would get its head as a parent
                delete_branch(self._target, f"{self._repo}@{branch}")
                head = ""
        started = start_commit(
            self._target,
            f"{self._repo}@{branch}",
            parent=parent if parent != head else "",
            description=original.description,
        )
        self._heads[branch] = started.id
        return f"{self._repo}@{started.id}"

    def _write(self, copy: str, original: Message) -> None:
        def counted(count: int) -> None:
            self._done.bytes += count
            self._advance(count)

        base = next(
            (
                self._originals[each].commit
                for each in list(self._upwards(original.commit.id))[1:]
                if not self._originals[each].error  # nothing is built on what is in error
            ),
            None,
        )
        size = original.details.size_bytes or original.size_bytes_upper_bound
        changes = difference.requests(self._source, original.commit, base, size, counted)
        if (first := next(changes, None)) is not None:
            where = {"set_commit": names.commit(self._target.project, copy)}
            self._target.send("pfs_v2.API", "ModifyFile", chain([where, first], changes))

    def _check(self, made: list[str]) -> None:
        """Wait until all copies are settled; one that went wrong there is no copy."""
        originals = {copy: original for original, copy in self._ids.items()}
        for identifier in made:
            info = wait_commit(self._target, f"{self._repo}@{identifier}")
            if info.error != self._originals[originals[identifier]].error:
                raise Corrupt(f"the copy {self._repo}@{identifier} went wrong: {info.error}")

    def _place(self, branches: list[Message]) -> None:
        """Put the branches where they are at the source; those that others trigger come last."""
        for each in sorted(branches, key=lambda each: each.HasField("trigger")):
            name = each.branch.name
            if each.direct_provenance:
                above = ", ".join(f"{names.show_repo(up.repo)}@{up.name}" for up in each.direct_provenance)
                self._done.notes.append(f"branch {name} depends on {above} at the source, the copy does not")
            head = next((self._ids[up] for up in self._upwards(each.head.id) if up in self._ids), "")
            if not head or self._heads.get(name) == head:
                continue
            create_branch(
                self._target,
                f"{self._repo}@{name}",
                head=head,
                trigger=_as_mapping(each.trigger) if each.HasField("trigger") else None,
            )
            self._heads[name] = head


def _holds_data(info: Message) -> bool:
    return bool(info.details.size_bytes or info.size_bytes_upper_bound)


def _as_mapping(trigger: Message) -> dict[str, object]:
    return {field.name: value for field, value in trigger.ListFields()}
