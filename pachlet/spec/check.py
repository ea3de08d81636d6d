"""Compare a tree with the schema: is every key a field, does every field hold what it should?

The result is the spec in one spelling: the schema's own field names, whole numbers as numbers, enum values by
name. null stays, since a merge of defaults reads it as "take the default away". What is wrong but has a plain
meaning goes on as it was meant, so that what is wrong within it is found at the same time.

Read next: fields.py (what is allowed), kinds.py (single values), old_words.py (what once was), parse.py and
lint.py (who call).
"""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass, field
from typing import Any

from pachlet.spec.fields import Field, fields
from pachlet.spec.kinds import NOTHING, PLURALS, Wrong, check_value, items_of
from pachlet.spec.old_words import OldWord, old_word
from pachlet.spec.positions import Entry, List, Node, Object, Position, Value, below, found, quoted
from pachlet.spec.problems import Edit, Findings
from pachlet.spec.source import Source

_NAMED = ("pps_v2.Pipeline", "pfs_v2.Project")
"""Objects of which people write the name alone."""

_SURE = 0.75  # how alike a key and a field are that the one is mended into the other

_SHOWN = {"pps_v2.Transform": "transform", "pps_v2.PFSInput": "pfs input"}


@dataclass
class Checker:
    """Checks the values of one file and remembers where each field stands."""

    findings: Findings
    source: Source
    places: dict[str, Position] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)

    def check_object(self, node: Node, message: str, path: str) -> dict[str, Any]:
        """Return the object with its fields in one spelling, without those that mean nothing."""
        self.places[path] = node.at
        self.nodes[path] = node
        if not isinstance(node, Object):
            return self._meant_object(node, message, path)
        result: dict[str, Any] = {}
        oneofs: dict[str, str] = {}
        for entry in node.entries:
            known = fields(message).get(entry.key)
            if known is None:
                known = self._unknown(node, entry, message, path, result)
                if known is None:
                    continue
            place = below(path, known.name)
            if known.name in result:
                problem = f"found {quoted(entry.key)}, wanted each field once, in one spelling"
                self._tell("duplicate-key", entry, place, problem, hint="keep one of the two spellings")
                continue
            if known.oneof and not _is_null(entry.value):
                if other := oneofs.get(known.oneof):
                    problem = f"found both {other} and {known.name}, wanted one of them"
                    self._tell("one-of", entry, place, problem)
                oneofs[known.oneof] = known.name
            value = self._check_field(entry.value, known, place)
            self.places[place] = entry.at
            self.nodes[place] = entry.value
            if value is not NOTHING:
                result[known.name] = value
        return result

    def _meant_object(self, node: Node, message: str, path: str) -> dict[str, Any]:
        """Report what stands where an object should: it may be in a list, or be the name alone."""
        if isinstance(node, List):
            only = node.items[0] if len(node.items) == 1 and isinstance(node.items[0], Object) else None
            edits = self.source.out_of_list(node) if only is not None else ()
            self._wrong_kind(node, path, "an object", "take it out of the list", edits)
            return self.check_object(only, message, path) if only is not None else {}
        value = node.value if isinstance(node, Value) else None
        if message in _NAMED and isinstance(value, str) and value:
            hint = f'write {{"name": {quoted(value)}}}'
            self._wrong_kind(node, path, "an object", hint, self.source.replace(node, {"name": value}))
            return {"name": value}
        self._wrong_kind(node, path, "an object")
        return {}

    def _check_field(self, node: Node, known: Field, path: str) -> Any:
        if _is_null(node):
            return None
        if known.is_map:
            return self._check_map(node, known, path)
        if not known.repeated:
            return self._check_value(node, known, path)
        if not isinstance(node, List):
            return self._meant_list(node, known, path)
        items = [self._check_value(item, known, f"{path}[{n}]") for n, item in enumerate(node.items)]
        return [item for item in items if item is not NOTHING]

    def _meant_list(self, node: Node, known: Field, path: str) -> Any:
        wanted, hint = f"a list of {PLURALS[known.kind]}", "put it in a list: [...]"
        if isinstance(node, Value) and isinstance(node.value, str) and known.kind == "string":
            items = items_of(node.value, known)
            fixed = json.dumps(items, ensure_ascii=False)
            hint = (
                f'write "{known.name}": {fixed}'
                if len(fixed) <= 200
                else "put it in a list, one string a line"
            )
            self._wrong_kind(node, path, wanted, hint, self.source.as_list(node, items))
            return items
        if isinstance(node, Object) and known.kind == "object":
            self._wrong_kind(node, path, wanted, hint, self.source.within_list(node))
            return [self._check_value(node, known, f"{path}[0]")]
        self._wrong_kind(node, path, wanted, hint)
        return NOTHING

    def _check_map(self, node: Node, known: Field, path: str) -> Any:
        if not isinstance(node, Object):
            self._wrong_kind(node, path, f"an object of {PLURALS[known.kind]}")
            return NOTHING
        found = {
            entry.key: self._check_value(entry.value, known, below(path, entry.key)) for entry in node.entries
        }
        return {key: value for key, value in found.items() if value is not NOTHING}

    def _check_value(self, node: Node, known: Field, path: str) -> Any:
        if known.kind == "object":
            return self.check_object(node, known.message, path)
        self.places[path] = node.at
        self.nodes[path] = node
        try:
            return check_value(node.value if isinstance(node, Value) else None, known)
        except Wrong as wrong:
            edits = () if wrong.meant is NOTHING else self.source.replace(node, wrong.meant)
            self._wrong_kind(node, path, wrong.wanted, wrong.hint, edits)
            return wrong.meant

    def _unknown(
        self, holder: Object, entry: Entry, message: str, path: str, result: dict[str, Any]
    ) -> Field | None:
        """Report a key that is no field; return the field that was meant, if there is one."""
        there = {known.name for each in holder.entries if (known := fields(message).get(each.key))}
        key = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", entry.key).replace("-", "_").lower()
        old = old_word(message, key)
        if old is not None:
            known = fields(message).get(old.rename)
            edits = self._old_edits(holder, entry, old, there, result)
            self._no_field(entry, message, path, old.advice, edits, rule="old-field")
            return known if known is not None and known.name not in there else None
        names = sorted({known.name for known in fields(message).values()})
        near = difflib.get_close_matches(key, names, n=1)
        known = fields(message)[near[0]] if near and near[0] not in there else None
        if known is not None and not difflib.get_close_matches(key, near, cutoff=_SURE):
            known = None
        edits = self.source.rename(entry, known.name) if known is not None else ()
        hint = f"did you mean {quoted(near[0])}?" if near else f"the fields are: {', '.join(names)}"
        self._no_field(entry, message, path, hint, edits)
        return known

    def _old_edits(
        self, holder: Object, entry: Entry, old: OldWord, there: set[str], result: dict[str, Any]
    ) -> tuple[Edit, ...]:
        """Return what mends a word of 1.x, and put what it means into the result."""
        if old.rename and old.rename not in there:
            return self.source.rename(entry, old.rename)
        value = entry.value.value if isinstance(entry.value, Value) else None
        written = old.rewrite(value) if old.rewrite is not None else {}
        if written and not there & set(written):
            result.update(written)
            return self.source.rewrite(entry, written)
        return self.source.remove(holder, entry) if old.drop or (old.rename and old.rename in there) else ()

    def _no_field(
        self,
        entry: Entry,
        message: str,
        path: str,
        hint: str,
        edits: tuple[Edit, ...],
        *,
        rule: str = "unknown-field",
    ) -> None:
        names = sorted({known.name for known in fields(message).values()})
        some = ", ".join(names) if len(names) <= 8 else f"a field of a {_SHOWN.get(message, 'spec')}"
        problem = f"found the unknown field {quoted(entry.key)}, wanted {some}"
        self._tell(rule, entry, path, problem, hint=hint, edits=edits)

    def _wrong_kind(
        self, node: Node, path: str, wanted: str, hint: str = "", edits: tuple[Edit, ...] = ()
    ) -> None:
        self._tell("wrong-kind", node, path, f"found {found(node)}, wanted {wanted}", hint=hint, edits=edits)

    def _tell(
        self,
        rule: str,
        what: Node | Entry,
        path: str,
        problem: str,
        *,
        hint: str = "",
        edits: tuple[Edit, ...] = (),
    ) -> None:
        self.findings.report(rule, what.at, path, problem, span=what.span, hint=hint, edits=edits)


def _is_null(node: Node) -> bool:
    return isinstance(node, Value) and node.value is None
