"""Read the words of JSON, strings, numbers and literals, and whatever people write in their place.

What is not JSON but can only mean one thing (single quotes, Python's True, a comment) is reported with the
edits that mend it, and read as meant. What could mean anything ends the reading.

Read next: json_reader.py (objects and lists), problems.py (who is told).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import NoReturn

from pachlet.spec.positions import MAX_DIGITS, Lines, Scalar, Span, quoted, shortened
from pachlet.spec.problems import Edit, Findings

_SPACE = re.compile(r"[ \t\r\n]*")
_PLAIN = re.compile(r'[^"\\\x00-\x1f]*')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_OTHER_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_WORD = re.compile(r"[^\s,:\[\]{}\"']+")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_HEX = re.compile(r"[0-9a-fA-F]{4}")
_COMMENT = re.compile(r"(?://|#)[^\r\n]*|/\*(?:.*?\*/|.*)", re.DOTALL)
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
_NO_NUMBERS = ("nan", "infinity", "inf")
"""What others write for a number that is none; no spec can have meant it."""
_OTHER_QUOTES = {"'": "'", "`": "`", "“": "”", "”": "”", "‘": "’", "’": "’"}


class Words:
    """A place in a text, and the words that can be read from there."""

    def __init__(self, text: str, findings: Findings) -> None:
        self.text = text
        self.findings = findings
        self.at = 0
        self.lines = Lines(text)
        self.path = ""
        self.depth = 0

    def next(self, count: int = 1) -> str:
        """Return the next characters, or fewer at the end of the text."""
        return self.text[self.at : self.at + count]

    def skip_space(self) -> None:
        """Step over space, and over comments, which are reported."""
        while True:
            space = _SPACE.match(self.text, self.at)
            assert space is not None
            self.at = space.end()
            comment = _COMMENT.match(self.text, self.at)
            if comment is None:
                return
            hint = "delete the comment, or name the file .yaml and write # before it"
            edits = [Edit(*self._with_space(comment.span()))]
            self.report(
                "comment",
                comment.span(),
                "none: JSON has no comments",
                found="a comment",
                hint=hint,
                edits=edits,
            )
            self.at = comment.end()

    def string(self) -> str:
        """Read a string in double quotes."""
        start = self.at
        self.at += 1
        parts = []
        while True:
            plain = _PLAIN.match(self.text, self.at)
            assert plain is not None
            parts.append(plain[0])
            self.at = plain.end()
            char = self.next()
            if char == '"':
                self.at += 1
                return "".join(parts)
            if char == "\\":
                parts.append(self._escape())
            elif char in ("", "\n", "\r"):
                self.at = start
                what = "the end of the text" if not char else "the end of the line"
                hint = 'write \\n for a new line within a string, and end the string with "'
                self.fail("quotes", 'a closing "', found=f"a string that meets {what}", hint=hint)
            else:
                code = "\\t" if char == "\t" else f"\\u{ord(char):04x}"
                edits = [Edit(self.at, self.at + 1, code)]
                span = (self.at, self.at + 1)
                self.report("escape", span, code, found="a control character in a string", edits=edits)
                parts.append(char)
                self.at += 1

    def other_string(self, wanted: str, hint: str) -> str | None:
        """Read a string in other quotes than double ones, which is reported; None if there is none."""
        start = self.at
        close = _OTHER_QUOTES.get(self.next())
        if close is None:
            return None
        end = start + 1
        while end < len(self.text) and self.text[end] not in (close, "\n", "\r"):
            end += 2 if self.text[end] == "\\" else 1
        if self.text[end : end + 1] != close:
            self.fail("quotes", wanted, hint=hint)
        value = re.sub(r"\\(['`“”‘’\\\"])", r"\1", self.text[start + 1 : end])
        text = json.dumps(value, ensure_ascii=False)
        span = (start, end + 1)
        self.report("quotes", span, wanted, found=self.text[start], hint=hint, edits=[Edit(*span, text)])
        self.at = end + 1
        return value

    def bare_name(self, wanted: str, hint: str) -> str | None:
        """Read a key without quotes, which is reported; None if there is none."""
        name = _NAME.match(self.text, self.at)
        if name is None:
            return None
        edits = [Edit(*name.span(), f'"{name[0]}"')]
        self.report("quotes", name.span(), wanted, found=self._found(), hint=hint, edits=edits)
        self.at = name.end()
        return name[0]

    def literal(self) -> Scalar:
        """Read a number, true, false or null."""
        word = _WORD.match(self.text, self.at)
        if word is None:
            self.fail("syntax", "a value")
        if not self.depth:
            self.fail("syntax", "a spec, which begins with {")
        text, span = word[0], word.span()
        if text in _LITERALS:
            self.at = word.end()
            return _LITERALS[text]
        if _NUMBER.fullmatch(text) and len(text) <= MAX_DIGITS:
            self.at = word.end()
            return float(text) if set(text) & set(".eE") else int(text)
        if text[0] in "+-.0123456789":
            return self._other_number(text, span)
        if text.lower() in _NO_NUMBERS:
            self.report(
                "word",
                span,
                "a value",
                found=text,
                hint="JSON has no such number; write the one that is meant",
            )
            self.at = word.end()
            return text
        meant = _OTHER_SPELLINGS.get(text)
        hint = f"write {meant}" if meant else f'write "{shortened(text)}"'
        edits = [Edit(*span, meant)] if meant else []
        if not meant and _NAME.fullmatch(text):
            edits = [Edit(*span, f'"{text}"')]
        self.report("word", span, "a value", found=self._found(), hint=hint, edits=edits)
        self.at = word.end()
        return _LITERALS[meant] if meant else text

    def _other_number(self, text: str, span: Span) -> Scalar:
        wanted = "a number as JSON writes it, such as 10 or -0.5"
        edits: list[Edit] = []
        value: float | None = None
        if _OTHER_NUMBER.fullmatch(text) and len(text) <= MAX_DIGITS and math.isfinite(float(text)):
            value = float(text)
            plain = text.removeprefix("+").isdigit()
            edits = [Edit(*span, str(int(text)) if plain else repr(value))]
        self.report("word", span, wanted, found=self._found(), edits=edits)
        self.at = span[1]
        if value is None:
            return text
        return int(value) if value == int(value) else value

    def _escape(self) -> str:
        start = self.at
        char = self.text[start + 1 : start + 2]
        code = self._hex(start + 2) if char == "u" else None
        if code is not None:
            low = self._hex(start + 8) if self.text.startswith("\\u", start + 6) else None
            if 0xD800 <= code < 0xDC00 and low is not None and 0xDC00 <= low < 0xE000:
                self.at += 12
                return chr(0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00))
            if 0xD800 <= code < 0xE000:
                found = f"half of a surrogate pair, \\u{code:04x}"
                self.report("escape", (start, start + 6), "a whole character", found=found)
                code = 0xFFFD
            self.at += 6
            return chr(code)
        if char in _ESCAPES:
            self.at += 2
            return _ESCAPES[char]
        wanted = 'one of \\" \\\\ \\/ \\b \\f \\n \\r \\t \\u0000'
        shown = char if char.isprintable() else "before a character that can't be seen"
        edits = [Edit(start, start + 1, "\\\\")]
        hint = "write \\\\ for a backslash"
        self.report(
            "escape", (start, start + 2), wanted, found=f"the escape \\{shown}", hint=hint, edits=edits
        )
        self.at += 1
        return "\\"

    def _hex(self, at: int) -> int | None:
        digits = _HEX.match(self.text, at)
        return int(digits[0], 16) if digits else None

    def _with_space(self, span: Span) -> Span:
        """Return a comment with what goes when it goes: the space before it, or its whole line."""
        start, end = span
        while start > 0 and self.text[start - 1] in " \t":
            start -= 1
        alone = start == 0 or self.text[start - 1] == "\n"
        rest = re.compile(r"[ \t]*(\r?\n|\Z)").match(self.text, end)
        return (start, rest.end()) if alone and rest else (start if rest else span[0], end)

    def _found(self) -> str:
        word = _WORD.match(self.text, self.at)
        found = word[0] if word else self.next()
        found = shortened(found) if found.isprintable() else quoted(found)
        return "a string" if found == '"' else found

    def report(
        self,
        rule: str,
        span: Span,
        wanted: str,
        *,
        found: str,
        hint: str = "",
        edits: Sequence[Edit] = (),
    ) -> None:
        """Report a slip whose meaning is plain."""
        problem = f"found {found}, wanted {wanted}"
        at = self.lines.position(span[0])
        self.findings.report(rule, at, self.path, problem, span=span, hint=hint, edits=edits)

    def fail(self, rule: str, wanted: str, *, found: str = "", hint: str = "", opened: int = -1) -> NoReturn:
        """Report what ends the reading, at the place where it stands."""
        found = found or self._found()
        if not found:
            found = "the end of the text"
            if opened >= 0:
                line = self.lines.position(opened).line
                hint = f"the {self.text[opened]} at line {line} is never closed"
        word = _WORD.match(self.text, self.at)
        span = (self.at, word.end() if word else min(self.at + 1, len(self.text)))
        problem = f"found {found}, wanted {wanted}"
        self.findings.fail(rule, self.lines.position(self.at), self.path, problem, span=span, hint=hint)
