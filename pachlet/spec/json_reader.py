"""Read JSON with the position of every key and value, and say what is wrong where it is wrong.

This is RFC 8259 and nothing more, except that a byte order mark is skipped, that several values may follow
one another (as in old tutorials), also divided by `---`, and that a key may not come twice. The slips that
people make (a comma too many, a comment, single quotes, Python's True) are each named with the way out.

Read next: positions.py (the tree), yaml_reader.py (the other format).
"""

from __future__ import annotations

import re
from typing import NoReturn

from pachlet.spec.positions import (
    MAX_DEPTH,
    MAX_DIGITS,
    Entry,
    Lines,
    List,
    Node,
    Object,
    Scalar,
    SpecError,
    Value,
    below,
    quoted,
    shortened,
)

_SPACE = re.compile(r"[ \t\r\n]*")
_PLAIN = re.compile(r'[^"\\\x00-\x1f]*')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_WORD = re.compile(r"[^\s,:\[\]{}\"']+")
_HEX = re.compile(r"[0-9a-fA-F]{4}")
_LITERALS: dict[str, Scalar] = {"true": True, "false": False, "null": None}
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "/": "/"}
_OTHER_SPELLINGS = {
    "True": "true",
    "False": "false",
    "None": "null",
    "nil": "null",
    "yes": "true",
    "no": "false",
}


def read_json(text: str, filename: str) -> list[Node]:
    """Return the values in a text; raise SpecError if it is not JSON."""
    return _Reader(text, filename).read_all()


class _Reader:
    def __init__(self, text: str, filename: str) -> None:
        self.text = text
        self.filename = filename
        self.at = 0
        self.lines = Lines(text)
        self.path = ""
        self.depth = 0

    def read_all(self) -> list[Node]:
        nodes: list[Node] = []
        self._skip_space()
        while self.at < len(self.text):
            nodes.append(self._value())
            self._skip_space()
            if self.text.startswith("---", self.at):
                self.at += 3
                self._skip_space()
            elif self.at < len(self.text) and self.text[self.at] not in "{[":
                self._fail("the end of the text")
        return nodes

    def _value(self) -> Node:
        self._skip_space()
        start = self.at
        char = self.text[start : start + 1]
        if char == "{":
            return self._object()
        if char == "[":
            return self._list()
        if char == '"':
            return Value(self.lines.position(start), self._string())
        if char in "]},:" or char == "'":
            self._fail("a value", hint="strings stand in double quotes" if char == "'" else "")
        return Value(self.lines.position(start), self._literal())

    def _object(self) -> Object:
        node = Object(self.lines.position(self.at))
        seen: dict[str, Entry] = {}
        opened, comma = self._open(), -1
        while not self._closed("}", opened, comma):
            start = self.at
            entry = self._entry(opened)
            if first := seen.get(entry.key):
                self.at = start
                hint = f"it stands at line {first.at.line} already; keep one of the two"
                self._fail("each key once", found=f"the key {quoted(entry.key)} again", hint=hint)
            seen[entry.key] = entry
            node.entries.append(entry)
            comma = self._comma("}", opened)
        return node

    def _entry(self, opened: int) -> Entry:
        start = self.at
        if self.text[start : start + 1] != '"':
            hint = "keys and strings stand in double quotes"
            self._fail("a key in double quotes", hint="" if start == len(self.text) else hint, opened=opened)
        key = self._string()
        self._skip_space()
        if self.text[self.at : self.at + 1] != ":":
            self._fail(f"a colon after the key {quoted(key)}", opened=opened)
        self.at += 1
        around, self.path = self.path, below(self.path, key)
        entry = Entry(key, self.lines.position(start), self._value())
        self.path = around
        return entry

    def _list(self) -> List:
        node = List(self.lines.position(self.at))
        opened, comma = self._open(), -1
        while not self._closed("]", opened, comma):
            around, self.path = self.path, f"{self.path}[{len(node.items)}]"
            node.items.append(self._value())
            self.path = around
            comma = self._comma("]", opened)
        return node

    def _open(self) -> int:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self._fail("less", found=f"more than {MAX_DEPTH} objects within objects")
        opened = self.at
        self.at += 1
        return opened

    def _closed(self, close: str, opened: int, comma: int) -> bool:
        """Step over the closing bracket, if it is next; a comma before it is one too many."""
        self._skip_space()
        if self.text[self.at : self.at + 1] != close:
            return False
        if comma >= 0:
            self.at = comma
            wanted = f"none after the last {'field' if close == '}' else 'item'}"
            self._fail(wanted, found=f"a comma before the {close}", hint="delete the comma")
        self.at += 1
        self.depth -= 1
        return True

    def _comma(self, close: str, opened: int) -> int:
        """Step over a comma and return where it was, or -1 if the closing bracket is next."""
        end = self.at
        self._skip_space()
        following = self.text[self.at : self.at + 1]
        if following == close:
            return -1
        if following != ",":
            line = self.lines.position(end).line
            missing = following == '"' or following in "{["
            hint = f"is there a comma missing at the end of line {line}?" if following and missing else ""
            self._fail(f"a comma or {close}", hint=hint, opened=opened)
        self.at += 1
        return self.at - 1

    def _string(self) -> str:
        start = self.at
        self.at += 1
        parts = []
        while True:
            plain = _PLAIN.match(self.text, self.at)
            assert plain is not None
            parts.append(plain[0])
            self.at = plain.end()
            char = self.text[self.at : self.at + 1]
            if char == '"':
                self.at += 1
                return "".join(parts)
            if char == "\\":
                parts.append(self._escape())
            elif char in ("", "\n", "\r"):
                self.at = start
                what = "the end of the text" if not char else "the end of the line"
                hint = 'write \\n for a new line within a string, and end the string with "'
                self._fail('a closing "', found=f"a string that meets {what}", hint=hint)
            else:
                self._fail(f"\\u{ord(char):04x}", found="a control character in a string")

    def _escape(self) -> str:
        char = self.text[self.at + 1 : self.at + 2]
        code = self._hex(self.at + 2) if char == "u" else None
        if code is not None:
            low = self._hex(self.at + 8) if self.text.startswith("\\u", self.at + 6) else None
            if 0xD800 <= code < 0xDC00 and low is not None and 0xDC00 <= low < 0xE000:
                self.at += 12
                return chr(0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00))
            if 0xD800 <= code < 0xE000:
                self._fail("a whole character", found=f"half of a surrogate pair, \\u{code:04x}")
            self.at += 6
            return chr(code)
        if char not in _ESCAPES:
            wanted = 'one of \\" \\\\ \\/ \\b \\f \\n \\r \\t \\u0000'
            shown = char if char.isprintable() else "before a character that can't be seen"
            self._fail(wanted, found=f"the escape \\{shown}", hint="write \\\\ for a backslash")
        self.at += 2
        return _ESCAPES[char]

    def _hex(self, at: int) -> int | None:
        digits = _HEX.match(self.text, at)
        return int(digits[0], 16) if digits else None

    def _literal(self) -> Scalar:
        word = _WORD.match(self.text, self.at)
        if word is None:
            self._fail("a value")
        if not self.depth:
            self._fail("a spec, which begins with {")
        if word[0] in _LITERALS:
            self.at = word.end()
            return _LITERALS[word[0]]
        if not _NUMBER.fullmatch(word[0]) or len(word[0]) > MAX_DIGITS:
            looks_like_number = word[0][0] in "+-.0123456789"
            hint = _OTHER_SPELLINGS.get(word[0], "" if looks_like_number else f'"{shortened(word[0])}"')
            wanted = "a number as JSON writes it, such as 10 or -0.5" if looks_like_number else "a value"
            self._fail(wanted, hint=f"write {hint}" if hint else "")
        self.at = word.end()
        return float(word[0]) if set(word[0]) & set(".eE") else int(word[0])

    def _skip_space(self) -> None:
        space = _SPACE.match(self.text, self.at)
        assert space is not None
        self.at = space.end()
        if self.text.startswith(("//", "/*", "#"), self.at):
            hint = "delete the comment, or name the file .yaml and write # before it"
            self._fail("none: JSON has no comments", found="a comment", hint=hint)

    def _fail(self, wanted: str, *, found: str = "", hint: str = "", opened: int = -1) -> NoReturn:
        if not found:
            word = _WORD.match(self.text, self.at)
            found = word[0] if word else self.text[self.at : self.at + 1]
            found = shortened(found) if found.isprintable() else quoted(found)
            found = "a string" if found == '"' else found
        if not found:
            found = "the end of the text"
            if opened >= 0:
                line = self.lines.position(opened).line
                hint = f"the {self.text[opened]} at line {line} is never closed"
        problem = f"found {found}, wanted {wanted}"
        raise SpecError(self.filename, self.lines.position(self.at), self.path, problem, hint=hint)
