"""Keep count of what a proof finds out about one commit, until there is nothing left of it to find out.

What a datum should give is read from the output commit itself: the files that carry the datum's id as their tag. A file
that several datums wrote is identical when each one's part is.

Read next: proving.py (who asks), telling.py.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable

from pachlet.pps.proving.subjects import Subject
from pachlet.pps.proving.telling import SEVERITY, CommitVerdict, FileVerdict, Verdict
from pachlet.storage.content import Content
from pachlet.storage.fileset import FileSet


class Tally:
    """What is known so far of one commit; used under its proof's lock."""

    def __init__(
        self, subject: Subject, files: FileSet, tell: Callable[[FileVerdict | CommitVerdict], None]
    ) -> None:
        self.subject = subject
        self._tell = tell
        self._stored: dict[str, dict[str, Content]] = defaultdict(dict)
        parts: Counter[str] = Counter()
        for entry in files.entries():
            self._stored[entry.tag][entry.path] = entry.content
            parts[entry.path] += 1
        self._parts = {path: number for path, number in parts.items() if number > 1}
        self._worst: dict[str, FileVerdict] = {}
        self._counts: Counter[Verdict] = Counter()
        self._open = 0
        self._datums = 0

    def stored(self, datum: str) -> dict[str, Content]:
        """Return what a datum should give, by path."""
        return self._stored.get(datum, {})

    def begin(self, datums: int) -> None:
        """Expect so many datums to be told of."""
        self._open = self._datums = datums
        if not datums:
            self._end()

    def told(self, datum: str, verdicts: list[FileVerdict]) -> None:
        """Take all that is found out about a datum."""
        expected = self._stored.pop(datum, {})
        for each in verdicts:
            self._take(each, is_stored=each.path in expected)
        self._open -= 1
        if not self._open:
            self._end()

    def _take(self, verdict: FileVerdict, *, is_stored: bool) -> None:
        left = self._parts.get(verdict.path, 1) if is_stored else 1
        worst = self._worst.pop(verdict.path, verdict)
        if SEVERITY.index(verdict.verdict) > SEVERITY.index(worst.verdict):
            worst = verdict
        if left > 1:
            self._parts[verdict.path] = left - 1
            self._worst[verdict.path] = worst
            return
        self._counts[worst.verdict] += 1
        self._tell(worst)

    def _end(self) -> None:
        commit = self.subject.commit
        for entries in self._stored.values():
            for path in entries:
                reason = "no datum of the job made it"
                self._take(FileVerdict(commit, path, Verdict.DIFFERS, reason), is_stored=True)
        self._stored.clear()
        self._tell(CommitVerdict(commit, self._counts, self._datums))
