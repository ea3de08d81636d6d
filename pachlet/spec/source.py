"""Make the edits that mend a text, in its own format and with its own layout.

Only what is wrong is touched: the rest of the file keeps its order, its indentation and, in YAML, its
comments. What would need a guess about the layout gets no edit.

Read next: problems.py (what an edit is), mend.py (who applies them), old_words.py (who asks for them).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from pachlet.spec.positions import Entry, List, Node, Object
from pachlet.spec.problems import Edit

_WIDE = 100  # columns; a list that makes a line longer is written one item a line
_PLAIN = re.compile(r"[A-Za-z_./][A-Za-z0-9_./ -]*[A-Za-z0-9_./-]|[A-Za-z_./]")
_NOT_PLAIN = re.compile(r"(?i)(true|false|null|yes|no|on|off|y|n|\.inf|\.nan|\.+)")

Edits = tuple[Edit, ...]


class Source:
    """A text that specs are read from."""

    def __init__(self, text: str, *, is_json: bool) -> None:
        self.text = text
        self.is_json = is_json
        self._newline = "\r\n" if "\r\n" in text else "\n"

    def rename(self, entry: Entry, key: str) -> Edits:
        """Give an entry another key, in the quotes that it has."""
        quote = self.text[entry.span[0] : entry.span[0] + 1]
        quoted = f"{quote}{key}{quote}" if quote in ('"', "'") else json.dumps(key) if self.is_json else key
        return (Edit(*entry.span, quoted),)

    def replace(self, node: Node, value: Any) -> Edits:
        """Put another value in place of one."""
        return (Edit(*node.span, self._inline(value)),)

    def as_list(self, node: Node, items: list[str]) -> Edits:
        """Put a list of strings in place of one string, one item a line where they are long."""
        start, end = node.span
        inline = self._inline(items)
        line_start = self.text.rfind("\n", 0, start) + 1
        block = "\n" in self.text[start:end] and not self.is_json and self._in_block(start)
        if not block and (start - line_start + len(inline) <= _WIDE or self._in_row(start)):
            return (Edit(start, end, inline),)
        indent = self._indent(line_start)
        if block:
            while self.text[start - 1] in " \t":
                start -= 1
            rows = "".join(f"{self._newline}{indent}  - {_yaml_string(item)}" for item in items)
            return (Edit(start, end, rows),)
        rows = f",{self._newline}".join(f"{indent}  {json.dumps(item, ensure_ascii=False)}" for item in items)
        return (Edit(start, end, f"[{self._newline}{rows}{self._newline}{indent}]"),)

    def replace_item(self, node: Node, items: list[str]) -> Edits:
        """Put several strings in place of one that stands in a list."""
        separator = ", "
        if not self.is_json and self._in_block(node.span[0]):
            line_start = self.text.rfind("\n", 0, node.span[0]) + 1
            dash = self.text.rfind("-", line_start, node.span[0])
            separator = f"{self._newline}{' ' * (dash - line_start)}- "
        return (Edit(*node.span, separator.join(self._inline(item) for item in items)),)

    def within_list(self, node: Node) -> Edits:
        """Put an object into a list of its own."""
        start, end = node.span
        if self.is_json or self.text[start : start + 1] == "{":
            return Edit(start, start, "["), Edit(end, end, "]")
        lines = re.compile(r"\n(?=[^\n])").finditer(self.text, start, end)  # of a block in YAML
        return Edit(start, start, "- "), *(Edit(line.end(), line.end(), "  ") for line in lines)

    def out_of_list(self, node: List) -> Edits:
        """Take the only item of a list out of it."""
        start, end = node.span
        (item,) = node.items
        if self.text[start : start + 1] != "[" or not start < item.span[0] <= item.span[1] < end:
            return ()
        return Edit(start, item.span[0]), Edit(item.span[1], end)

    def remove(self, holder: Object, entry: Entry) -> Edits:
        """Take an entry out of its object, with the comma or the line that belongs to it."""
        start, end = entry.span[0], entry.value.span[1]
        if end < entry.span[1]:
            return ()  # the value is an alias: what it stands for is somewhere else
        if len(holder.entries) == 1:
            return (Edit(*holder.span, "{}"),)
        at = next(n for n, each in enumerate(holder.entries) if each is entry)
        following = holder.entries[at + 1] if at + 1 < len(holder.entries) else None
        if self.is_json or self.text[holder.span[0] : holder.span[0] + 1] == "{":
            if following is not None:
                return (Edit(start, following.span[0]),)
            before = holder.entries[at - 1].value.span[1]
            return (Edit(before, end),) if before < start else ()
        line_start = self.text.rfind("\n", 0, start) + 1
        if self.text[line_start:start].strip():  # the first key after a dash
            return (Edit(start, following.span[0]),) if following is not None else ()
        line_end = self.text.find("\n", end)
        return (Edit(line_start, len(self.text) if line_end < 0 else line_end + 1),)

    def rewrite(self, entry: Entry, fields: Mapping[str, Any]) -> Edits:
        """Put other fields in place of an entry."""
        start, end = entry.span[0], entry.value.span[1]
        if end < entry.span[1]:
            return ()
        if self.is_json:
            return (Edit(start, end, self._inline(fields)[1:-1]),)
        line_start = self.text.rfind("\n", 0, start) + 1
        indent = " " * (start - line_start)
        rows = f"{self._newline}{indent}"
        separator = rows if self._in_block(start) else ", "
        return (
            Edit(
                start, end, separator.join(f"{key}: {self._inline(value)}" for key, value in fields.items())
            ),
        )

    def _inline(self, value: Any) -> str:
        return json.dumps(value, ensure_ascii=False)

    def _indent(self, line_start: int) -> str:
        found = re.compile(r"[ \t]*").match(self.text, line_start)
        assert found is not None
        return found[0]

    def _in_row(self, start: int) -> bool:
        """Tell whether a JSON value shares its line with other fields before it."""
        line = self.text[self.text.rfind("\n", 0, start) + 1 : start]
        return line.count(":") > 1 or not self.is_json

    def _in_block(self, start: int) -> bool:
        """Tell whether what stands here in YAML is within no brackets."""
        before = self.text[:start]
        return before.count("{") == before.count("}") and before.count("[") == before.count("]")


def _yaml_string(text: str) -> str:
    plain = _PLAIN.fullmatch(text) and not _NOT_PLAIN.fullmatch(text)
    return text if plain else json.dumps(text, ensure_ascii=False)
