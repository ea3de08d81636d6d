"""pfs_v2.API: projects, repos, branches and commits.

Files are in file_service.py, and what searches and rewrites history in history_service.py; `PfsService` is the whole.
The methods with small letters do what a request asks for, at once or when its transaction is finished.

Read next: file_service.py, open_transactions.py.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from pachlet.api import messages
from pachlet.api.check_service import CheckService
from pachlet.api.egress_service import EgressService
from pachlet.api.fileset_service import FileSetService
from pachlet.api.handlers import Context
from pachlet.api.history_service import HistoryService
from pachlet.api.lacking import lacking
from pachlet.api.names import (
    CommitName,
    at_most,
    branch_name,
    commit_name,
    nanoseconds,
    project_name,
    repo_name,
    trigger_of,
)
from pachlet.api.nonces import Nonces
from pachlet.api.open_transactions import OpenTransactions
from pachlet.api.pickers import pick_project
from pachlet.egress.outgoing import Outlets
from pachlet.errors import InvalidArgument, NotFound, Refused, Unimplemented
from pachlet.metadb.connect import Database
from pachlet.metadb.connect import Transaction as Statements
from pachlet.paths import FILESETS_REPO, USER, Repo
from pachlet.pfs import branches, commits, repos
from pachlet.pfs.cache import Cache
from pachlet.pfs.files import Files
from pachlet.pfs.filesets import FileSets
from pachlet.pfs.records import CommitRecord
from pachlet.pfs.transactions import Transaction, Transactions
from pachlet.pps.spec_defaults import project_defaults

_ORIGINS = {0: "", 1: "user", 2: "auto"}
STARTED, READY, FINISHING, FINISHED = 1, 2, 3, 4


class PfsService(HistoryService, FileSetService, CheckService, EgressService):
    """Answers pfs_v2.API."""

    def __init__(
        self,
        database: Database,
        transactions: Transactions,
        files: Files,
        refuse_pipeline_repo: Callable[[Statements, Repo], None],
        open_transactions: OpenTransactions,
        nonces: Nonces,
        filesets: FileSets,
        cache: Cache,
        outlets: Outlets,
    ) -> None:
        super().__init__(database, transactions, files, refuse_pipeline_repo, nonces, filesets, outlets)
        self.cache = cache
        self.open_transactions = open_transactions
        open_transactions.acts.update(
            create_repo=self._create_repo,
            delete_repo=self._delete_repo,
            start_commit=self._start_commit,
            finish_commit=self._finish_commit,
            squash_commit_set=self.squash_commit_set,
            create_branch=self._create_branch,
            delete_branch=self._delete_branch,
        )

    # Projects.

    def CreateProject(self, request: Any, context: Context) -> Any:
        with self.transactions.start() as txn:
            repos.create_project(txn, request.project.name, request.description, update=request.update)
        return messages.empty()

    def InspectProject(self, request: Any, context: Context) -> Any:
        with self.database.read() as db:
            return messages.project_info(repos.inspect_project(db, project_name(request.project)))

    def InspectProjectV2(self, request: Any, context: Context) -> Any:
        info = self.InspectProject(request, context)
        with self.database.read() as db:
            defaults = project_defaults(db, info.project.name)
        return messages.make("pfs_v2.InspectProjectV2Response", info=info, defaults_json=defaults.json)

    def ListProject(self, request: Any, context: Context) -> Iterator[Any]:
        with self.database.read() as db:
            rows = db.all("list_projects")
        yield from (messages.project_info(row) for row in rows)

    def DeleteProject(self, request: Any, context: Context) -> Any:
        with self.transactions.start() as txn:
            repos.delete_project(txn, project_name(request.project))
        return messages.empty()

    # Repos.

    def CreateRepo(self, request: Any, context: Context) -> Any:
        self.open_transactions.write(context, "create_repo", request)
        return messages.empty()

    def _create_repo(self, txn: Transaction, request: Any) -> None:
        repo = repo_name(request.repo, "repo cannot be nil")
        repos.create_repo(txn, repo, request.description, update=request.update)

    def InspectRepo(self, request: Any, context: Context) -> Any:
        with self.database.read() as db:
            return messages.repo_info(db, repos.inspect_repo(db, repo_name(request.repo)))

    def ListRepo(self, request: Any, context: Context) -> Iterator[Any]:
        projects = tuple(project_name(each) for each in request.projects)
        with self.database.read() as db:
            found = repos.list_repos(db, request.type, projects)
            if request.page.page_size:
                found.sort(key=lambda each: each.repo)
                size, start = at_most(request.page.page_size) or 0, at_most(request.page.page_index) or 0
                found = found[start * size : (start + 1) * size]
            infos = [messages.repo_info(db, each) for each in found]
        yield from infos

    def ReposSummary(self, request: Any, context: Context) -> Any:
        summaries = []
        with self.database.read() as db:
            for name in [pick_project(db, picker)["name"] for picker in request.projects]:
                infos = [messages.repo_info(db, each) for each in repos.list_repos(db, USER, (name,))]
                if infos:
                    size = sum(each.size_bytes_upper_bound for each in infos)
                    facts = {"project": messages.project(name), "user_repo_count": len(infos)}
                    summaries.append(messages.make("pfs_v2.ReposSummary", size_bytes=size, **facts))
        return messages.make("pfs_v2.ReposSummaryResponse", summaries=summaries)

    def DeleteRepo(self, request: Any, context: Context) -> Any:
        deleted = self.open_transactions.write(context, "delete_repo", request, in_transaction=True)
        return messages.make("pfs_v2.DeleteRepoResponse", deleted=deleted)

    def _delete_repo(self, txn: Transaction, request: Any) -> bool:
        repo = repo_name(request.repo)
        self.refuse_pipeline_repo(txn.db, repo)
        return repos.delete_repo(txn, repo, force=request.force)

    def DeleteRepos(self, request: Any, context: Context) -> Any:
        projects = tuple(project_name(each) for each in request.projects)
        gone: list[Repo] = []
        if projects or request.all:
            with self.transactions.start() as txn:
                wanted = [each.repo for each in repos.list_repos(txn.db, USER, projects)]
                for repo in wanted:
                    self.refuse_pipeline_repo(txn.db, repo)
                gone = repos.delete_repos(txn, wanted, force=request.force)
        return messages.make("pfs_v2.DeleteReposResponse", repos=[messages.repo(each) for each in gone])

    def DeleteAll(self, request: Any, context: Context) -> Any:
        with self.transactions.start() as txn:
            for record in repos.list_repos(txn.db):
                self.refuse_pipeline_repo(txn.db, record.repo)
                repos.delete_repo(txn, record.repo, force=True)
            for row in txn.db.all("list_projects"):
                repos.delete_project(txn, row["name"])
            repos.ensure_default_project(txn)
        return messages.empty()

    # Branches.

    def CreateBranch(self, request: Any, context: Context) -> Any:
        self.open_transactions.write(context, "create_branch", request)
        return messages.empty()

    def _create_branch(self, txn: Transaction, request: Any) -> None:
        if not request.HasField("branch"):
            raise InvalidArgument("branch cannot be nil")
        branch = branch_name(request.branch)
        quiet = [
            branch_name(each.branch)
            for each in request.branch_propagation_specs
            if each.propagation_spec.never
        ]
        head = None
        if request.HasField("head") and (request.head.id or request.head.branch.name):
            head = commit_name(request.head).resolve(txn.db)
        upstream = [branch_name(each) for each in request.provenance]
        for each in request.branch_propagation_specs:
            if branch_name(each.branch) not in upstream:
                raise Refused(
                    "branch propagation spec must reference provenant branch "
                    f"(referenced branch: {branch_name(each.branch)})"
                )
        trigger = trigger_of(request.trigger) if request.HasField("trigger") else None
        branches.create_branch(
            txn, branch, head=head, upstream=upstream, never_propagate=quiet, trigger=trigger
        )

    def InspectBranch(self, request: Any, context: Context) -> Any:
        with self.database.read() as db:
            return messages.branch_info(db, branches.inspect_branch(db, branch_name(request.branch)))

    def ListBranch(self, request: Any, context: Context) -> Iterator[Any]:
        with self.database.read() as db:
            if request.HasField("repo"):
                found = branches.list_branches(db, repo_name(request.repo))
            else:
                found = [
                    each for repo in repos.list_repos(db) for each in branches.list_branches(db, repo.repo)
                ]
                found.sort(key=lambda each: -each.key)
            infos = [messages.branch_info(db, each) for each in found]
        yield from reversed(infos) if request.reverse else infos

    def DeleteBranch(self, request: Any, context: Context) -> Any:
        self.open_transactions.write(context, "delete_branch", request)
        return messages.empty()

    def _delete_branch(self, txn: Transaction, request: Any) -> None:
        branches.delete_branch(txn, branch_name(request.branch), force=request.force)

    # Commits.

    def StartCommit(self, request: Any, context: Context) -> Any:
        return self.open_transactions.write(context, "start_commit", request)

    def _start_commit(self, txn: Transaction, request: Any) -> Any:
        if not request.HasField("branch") or not request.branch.name:
            raise InvalidArgument("branch must be specified")
        branch = branch_name(request.branch)
        repos.inspect_repo(txn.db, branch.repo)
        parent = None
        if request.HasField("parent") and (request.parent.id or request.parent.branch.name):
            named = commit_name(request.parent)
            parent = CommitName(branch.repo, named.id, named.branch).resolve(txn.db)
        return messages.commit_of(
            commits.start_commit(txn, branch, parent=parent, description=request.description)
        )

    @lacking("finishing a job's commit by force")
    def FinishCommit(self, request: Any, context: Context) -> Any:
        self.open_transactions.write(context, "finish_commit", request)
        return messages.empty()

    def _finish_commit(self, txn: Transaction, request: Any) -> None:
        record = commit_name(request.commit).resolve(txn.db)
        if commits.is_pipeline_output(txn.db, record):
            if request.force:
                raise Unimplemented("finishing a job's commit by force is not implemented by pachlet")
            raise Refused("cannot finish a pipeline output or meta commit, use 'stop job' instead")
        commits.finish_commit(txn, record, description=request.description, error=request.error)

    def SquashCommitSet(self, request: Any, context: Context) -> Any:
        self.open_transactions.write(context, "squash_commit_set", request)
        return messages.empty()

    def InspectCommit(self, request: Any, context: Context) -> Any:
        name = commit_name(request.commit)
        if name.repo.name == FILESETS_REPO:
            record, files = self._open(name, context)
            with self.database.read() as db:
                return self._commit_info(db, replace(record, size=files.size()))
        with self.database.read() as db:
            record = name.resolve(db)
        record = self._wait(record, request.wait, context)
        with self.database.read() as db:
            return self._commit_info(db, record)

    def ListCommit(self, request: Any, context: Context) -> Iterator[Any]:
        with self.database.read() as db:
            infos = [self._commit_info(db, each) for each in self._list_commits(db, request)]
        yield from infos

    def _list_commits(self, db: Statements, request: Any) -> Iterator[CommitRecord]:
        number = at_most(request.number)
        has_from, has_to = request.HasField("from"), request.HasField("to")
        origin = "" if request.all else _ORIGINS.get(request.origin_kind, "")
        if has_from and not has_to:
            raise Refused("cannot use `from` commit without `to` commit", hint="write REPO@BRANCH")
        if request.reverse and (has_from or has_to):
            raise Refused("cannot use 'Reverse' while also using 'From' or 'To'")
        repo = repo_name(request.repo) if request.repo.name else None
        if has_to:
            newest = commit_name(request.to).resolve(db)
            oldest = commit_name(getattr(request, "from")).resolve(db) if has_from else None
            if repo is not None and any(c and c.commit.repo != repo for c in (newest, oldest)):
                raise Refused(f"`from` and `to` commits need to be from repo {repo}")
            line = (c for c in commits.list_ancestry(db, newest, oldest) if origin in ("", c.origin))
            yield from itertools.islice(line, number)
            return
        started = None
        if request.HasField("started_time"):
            started = nanoseconds(request.started_time)
        yield from commits.list_commits(
            db, repo, origin=origin, number=number or 0, started=started, reverse=request.reverse
        )

    def SubscribeCommit(self, request: Any, context: Context) -> Iterator[Any]:
        repo = repo_name(request.repo)
        origin = "" if request.all else _ORIGINS.get(request.origin_kind, "")
        with self.database.read() as db:
            key = repos.inspect_repo(db, repo).key
            above = commit_name(getattr(request, "from")).resolve(db).key if request.HasField("from") else 0

        def look() -> list[CommitRecord] | None:
            with self.database.read() as db:
                if db.first("get_repo_by_key", key=key) is None:
                    raise NotFound(f"repo {repo} was deleted")
                return commits.commits_after(db, key, above, origin) or None

        while True:
            for record in self.database.changes.until(look, context.is_active):
                above = record.key
                if request.branch and record.branch != request.branch:
                    continue
                record = self._wait(record, request.state, context)
                with self.database.read() as db:
                    info = self._commit_info(db, record)
                yield info

    def InspectCommitSet(self, request: Any, context: Context) -> Iterator[Any]:
        with self.database.read() as db:
            records = commits.inspect_commit_set(db, request.commit_set.id)
        for record in sorted(records, key=lambda each: each.finished is None) if request.wait else records:
            settled = self._wait(record, FINISHED if request.wait else STARTED, context)
            with self.database.read() as db:
                info = self._commit_info(db, settled)
            yield info

    def ListCommitSet(self, request: Any, context: Context) -> Iterator[Any]:
        with self.database.read() as db:
            infos = [
                messages.make(
                    "pfs_v2.CommitSetInfo",
                    commit_set=messages.make("pfs_v2.CommitSet", id=each),
                    commits=[self._commit_info(db, c) for c in commits.commits_of_set(db, each)],
                )
                for each in commits.list_commit_sets(db, request.project.name)
            ]
        yield from infos

    def _commit_info(self, db: Statements, record: CommitRecord) -> Any:
        """Return a CommitInfo; one that waits for something before it can be settled says so where errors are shown."""
        info = messages.commit_info(db, record)
        if record.finished is None and (why := self.transactions.waiting.get(record.key)):
            info.error = f"not finished yet: {why}"
        return info

    def _wait(self, record: CommitRecord, state: int, context: Context) -> CommitRecord:
        """Return the commit once it is in a state."""

        def look() -> CommitRecord | None:
            with self.database.read() as db:
                row = db.first("get_commit_by_key", key=record.key)
                if row is None:
                    raise NotFound(f"commit {record.commit} was deleted")
                current = CommitRecord.of(row)
                if state == READY:
                    is_there = all(each.finished is not None for each in commits.upstream(db, record.key))
                elif state in (FINISHING, FINISHED):
                    is_there = current.finished is not None
                else:
                    is_there = True
                return current if is_there else None

        return self.database.changes.until(look, context.is_active)
