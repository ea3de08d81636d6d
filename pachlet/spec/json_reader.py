"""Read JSON with the position of every key and value, and say what is wrong where it is wrong.

This is RFC 8259 and nothing more, except that a byte order mark is skipped, that several values may follow
one another (as in old tutorials), also divided by `---`, and that a key may not come twice. The slips that
people make (a comma too many, a comment, single quotes, Python's True) are each named with the way out.

Read next: json_words.py (strings and numbers), positions.py (the tree), yaml_reader.py (the other format).
"""

from __future__ import annotations

from pachlet.spec.json_words import Words
from pachlet.spec.positions import MAX_DEPTH, Entry, List, Node, Object, Value, below, quoted
from pachlet.spec.problems import Edit, Findings

_QUOTES = "strings stand in double quotes"
_KEYS = "keys and strings stand in double quotes"
_STARTS_VALUE = "\"'{[“‘`"


def read_json(text: str, findings: Findings) -> list[Node]:
    """Return the values in a text; raise SpecError where it can't be read on."""
    return _Reader(text, findings).read_all()


class _Reader(Words):
    def read_all(self) -> list[Node]:
        nodes: list[Node] = []
        self.skip_space()
        while self.at < len(self.text):
            nodes.append(self._value())
            self.skip_space()
            if self.text.startswith("---", self.at):
                self.at += 3
                self.skip_space()
            elif self.at < len(self.text) and self.text[self.at] not in "{[":
                self.fail("syntax", "the end of the text")
        return nodes

    def _value(self) -> Node:
        self.skip_space()
        start = self.at
        char = self.next()
        if char == "{":
            return self._object()
        if char == "[":
            return self._list()
        at = self.lines.position(start)
        if char == '"':
            return Value(at, self.string(), span=(start, self.at))
        if char and char in "]},:":
            self.fail("syntax", "a value")
        other = self.other_string("a value", _QUOTES)
        value = self.literal() if other is None else other
        return Value(at, value, span=(start, self.at))

    def _object(self) -> Object:
        start = opened = self._open()
        entries: list[Entry] = []
        seen: dict[str, Entry] = {}
        comma = -1
        while not self._closed("}", comma):
            entry = self._entry(opened)
            if first := seen.get(entry.key):
                hint = f"it stands at line {first.at.line} already; keep one of the two"
                self.report(
                    "duplicate-key",
                    entry.span,
                    "each key once",
                    found=f"the key {quoted(entry.key)} again",
                    hint=hint,
                )
            else:
                seen[entry.key] = entry
                entries.append(entry)
            comma = self._comma("}", opened)
        return Object(self.lines.position(start), entries, span=(start, self.at))

    def _entry(self, opened: int) -> Entry:
        start = self.at
        wanted = "a key in double quotes"
        key = self.string() if self.next() == '"' else self.other_string(wanted, _KEYS)
        key = self.bare_name(wanted, _KEYS) if key is None else key
        if key is None:
            self.fail("syntax", wanted, hint="" if start == len(self.text) else _KEYS, opened=opened)
        span = (start, self.at)
        self.skip_space()
        if self.next() != ":":
            self.fail("syntax", f"a colon after the key {quoted(key)}", opened=opened)
        self.at += 1
        around, self.path = self.path, below(self.path, key)
        entry = Entry(key, self.lines.position(start), self._value(), span)
        self.path = around
        return entry

    def _list(self) -> List:
        start = opened = self._open()
        items: list[Node] = []
        comma = -1
        while not self._closed("]", comma):
            around, self.path = self.path, f"{self.path}[{len(items)}]"
            items.append(self._value())
            self.path = around
            comma = self._comma("]", opened)
        return List(self.lines.position(start), items, span=(start, self.at))

    def _open(self) -> int:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.fail("too-large", "less", found=f"more than {MAX_DEPTH} objects within objects")
        self.at += 1
        return self.at - 1

    def _closed(self, close: str, comma: int) -> bool:
        """Step over the closing bracket, if it is next; a comma before it is one too many."""
        self.skip_space()
        if self.next() != close:
            return False
        if comma >= 0:
            span = (comma, comma + 1)
            wanted = f"none after the last {'field' if close == '}' else 'item'}"
            found, hint = f"a comma before the {close}", "delete the comma"
            self.report("comma", span, wanted, found=found, hint=hint, edits=[Edit(*span)])
        self.at += 1
        self.depth -= 1
        return True

    def _comma(self, close: str, opened: int) -> int:
        """Step over a comma and return where it was, or -1 if the closing bracket is next."""
        end = self.at
        self.skip_space()
        following = self.next()
        if following == close:
            return -1
        if following == ",":
            self.at += 1
            return self.at - 1
        line = self.lines.position(end).line
        if not following or following not in _STARTS_VALUE:
            self.fail("syntax", f"a comma or {close}", opened=opened)
        hint = f"is there a comma missing at the end of line {line}?"
        span, edits = (self.at, self.at + 1), [Edit(end, end, ",")]
        self.report("comma", span, f"a comma or {close}", found=self._found(), hint=hint, edits=edits)
        return -1
