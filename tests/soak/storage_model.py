"""What must be in a data directory after a series of operations: a few dictionaries.

Read next: storage_at_work.py (who does them), test_kills_storage.py (who compares).
"""

from __future__ import annotations

import json
from typing import Any, TypeAlias

DATA, BACKUP, RESTORED = "data", "backup", "restored"
Files: TypeAlias = "dict[str, int]"
"""The number of its content for each path."""
Operation: TypeAlias = "dict[str, Any]"


class Model:
    """For each repo its commits by id in order, and whether the last is open; and the same for the last backup."""

    def __init__(self) -> None:
        self.repos: dict[str, dict[str, Files]] = {}
        self.open: set[str] = set()
        self.backup: Model | None = None

    def allows(self, operation: Operation) -> bool:
        """Tell whether an operation makes sense now; a put always does."""
        kind, name = operation["kind"], operation["name"]
        ids = list(self.repos.get(name, {}))
        if kind in ("start", "transaction") and name in self.open:
            return False
        if kind == "transaction":
            return operation["other"] != "" and operation["other"] not in self.open
        if kind == "finish":
            return name in self.open
        if kind == "clear":
            return name in self.open and len(ids) > 0
        if kind == "copy":
            source = operation["other"]
            return source != "" and source not in self.open and bool(self.repos[source])
        if kind == "squash":
            settled = ids[:-1] if name in self.open else ids
            return operation["id"] in settled[:-1]
        if kind == "drop":
            return bool(ids) and operation["id"] == ids[-1] and name not in self.open
        return kind != "restore" or self.backup is not None

    def apply(self, operation: Operation) -> None:
        """Do what an operation does."""
        kind, name, head = operation["kind"], operation["name"], operation["head"]
        if kind == "create":
            self.repos[name] = {}
        elif kind == "delete":
            del self.repos[name]
            self.open.discard(name)
        elif kind in ("put", "put beside gc"):
            self._write(name, head, operation["files"])
        elif kind == "copy":
            source = list(self.repos[operation["other"]].values())[-1]
            self._write(name, head, {f"/copy{path}": number for path, number in source.items()})
        elif kind in ("start", "transaction"):
            for each in [name, operation["other"]] if kind == "transaction" else [name]:
                self.repos[each][head] = self._last(each)
                self.open.add(each)
        elif kind == "finish":
            self.open.discard(name)
        elif kind == "clear":
            ids = list(self.repos[name])
            self.repos[name][ids[-1]] = self.repos[name][ids[-2]] if len(ids) > 1 else {}
        elif kind == "squash":
            del self.repos[name][operation["id"]]
        elif kind == "drop":
            del self.repos[name][operation["id"]]
            if not self.repos[name]:
                self.repos[name][head] = {}
        elif kind == "backup":
            self.backup = self.copy()
            # Else a backup would hold all that were made before it, and a line of it, quoted in a line, quoted in a
            # line, takes minutes to read after twenty of them.
            self.backup.backup = None

    def copy(self) -> Model:
        """Return one that goes its own way."""
        other = Model()
        other.repos = {name: dict(commits) for name, commits in self.repos.items()}
        other.open, other.backup = set(self.open), self.backup
        return other

    def encode(self) -> str:
        """Return it as one line."""
        backup = self.backup.encode() if self.backup else None
        return json.dumps([self.repos, sorted(self.open), backup])

    @classmethod
    def decode(cls, line: str) -> Model:
        """Return what was encoded."""
        model = cls()
        model.repos, names, backup = json.loads(line)
        model.open = set(names)
        model.backup = cls.decode(backup) if backup else None
        return model

    def _last(self, name: str) -> Files:
        commits = self.repos[name]
        return list(commits.values())[-1] if commits else {}

    def _write(self, name: str, head: str, files: Files) -> None:
        id = list(self.repos[name])[-1] if name in self.open else head
        self.repos[name][id] = self._last(name) | files
