"""Whatever is typed, the command line answers in words: one line, an exit status, never a traceback."""

from __future__ import annotations

import io
import os
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pachlet.cli import main, registry
from pachlet.cli.session import Session
from pachlet.cli.spelling import ELSEWHERE, modernise
from pachlet.cli.verbs.completion import all_words
from pachlet.client import metadata
from pachlet.client.connection import Connection, as_message
from pachlet.errors import Unavailable, Usage

# What these do is on this machine, not on a server: here they are only parsed.
LOCAL = {"serve", "stop", "apply", "put file", "restore", "backup"}

VERBS = [" ".join(words) for words in registry.VERBS]
FLAGS = sorted({flag for words in all_words().values() for flag in words if flag.startswith("-")})
NAMES = ["a", "a@master", "a@master:/x", "p/a@b^2", "@", "a@", ":", "a@b=c", "=", "0" * 12 + "4" + "0" * 19]
VALUES = [
    "",
    "-",
    "--",
    "json",
    "1",
    "-1",
    "9" * 40,
    "24h",
    "1e9",
    "{}",
    "%s",
    "{program}",
    "é\n",
    "\x00",
    "~",
    "'",
]

# Bytes that are not UTF-8 come as lone surrogates.
text = st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.just("\udcff")), max_size=12)
word = st.one_of(st.sampled_from([*FLAGS, *NAMES, *VALUES, *ELSEWHERE]), text)
flag_with_value = st.builds(lambda flag, value: f"{flag}={value}", st.sampled_from(FLAGS), word)
verb = st.sampled_from([*VERBS, *ELSEWHERE, *(name.replace(" ", "-") for name in VERBS)]).map(str.split)
command = st.builds(
    lambda before, first, rest: [*before, *first, *rest],
    st.lists(
        st.sampled_from(["-v", "--no-color", "--rpc-timeout=1s", "help", "--rpc-timeout", "-h"]), max_size=1
    ),
    st.one_of(verb, text.map(lambda typed: [typed])),
    st.lists(st.one_of(word, flag_with_value), max_size=6),
)


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let every call fail at once, local verbs do nothing, and files land where they are thrown away."""

    def call(_: Connection, service: str, method: str, request: Any, **__: Any) -> Any:
        as_message(service, method, request).SerializeToString()
        raise Unavailable("no server")

    def send(_: Connection, service: str, method: str, requests: Any, **__: Any) -> Any:
        for request in requests:
            as_message(service, method, request).SerializeToString()
        raise Unavailable("no server")

    monkeypatch.setattr(Connection, "call", call)
    monkeypatch.setattr(Connection, "send", send)
    monkeypatch.chdir(tmp_path)
    for found in registry.VERBS.values():
        if found.name in LOCAL:
            module = import_module(f"pachlet.cli.verbs.{found.module}")
            monkeypatch.setattr(module, found.function, lambda *_: None)


class Typed:
    """What came of a command."""

    def __init__(self, words: list[str], config: str = "", given: bytes = b"") -> None:
        Path("config.json").write_text(config)
        err = io.StringIO()
        environ = {"PACH_CONFIG": "config.json", "PACHD_ADDRESS": "127.0.0.1:1", "HOME": os.getcwd()}
        self.status = main.run(Session(environ, out=io.StringIO(), err=err, input=io.BytesIO(given)), words)
        self.err = err.getvalue()

    def check(self) -> None:
        assert self.status in (0, 1, 2)
        assert "a bug in pachlet" not in self.err
        # One line says what is wrong; before it, one may say how it is spelled today, or ask a question.
        assert self.status == 0 or 1 <= self.err.count("\n") <= 2


@given(command)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_words_get_an_answer(words: list[str]) -> None:
    Typed(words).check()


@given(st.lists(word, max_size=5))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_words_alone_get_an_answer(words: list[str]) -> None:
    Typed(words).check()


json_like = st.recursive(
    st.sampled_from(["null", "1", '"x"', "true", "[]", "{}"]),
    lambda inner: st.builds(
        lambda key, value: f'{{"{key}": {value}}}',
        st.sampled_from(
            ["v2", "contexts", "c", "active_context", "pachd_address", "port_forwarders", "metrics"]
        ),
        inner,
    ),
    max_leaves=6,
)


@given(
    st.one_of(json_like, text), st.sampled_from([name for name in VERBS if name.startswith("config")]), word
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_config_gets_an_answer(config: str, name: str, value: str) -> None:
    for what in ("context", "active-context", "metrics"):
        Typed([*name.split(), what, value], config, given=config.encode()).check()
    Typed(["list", "repo"], config).check()


@given(st.lists(text, min_size=1, max_size=6))
def test_old_spelling_takes_any_words(words: list[str]) -> None:
    try:
        spelled = modernise(words)
    except Usage:
        return
    assert spelled.note.format(program="pachctl") or spelled.words == words


@given(text)
def test_any_text_is_pairs_or_refused(typed: str) -> None:
    try:
        found = metadata.pairs(typed)
    except Usage:
        return
    assert all(isinstance(value, str) for value in found.values())


plain = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8)
quoted = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=8)


@given(st.dictionaries(plain, quoted, min_size=1, max_size=4))
def test_quoted_pairs_are_read_back(pairs: dict[str, str]) -> None:
    def double(value: str) -> str:
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

    assert metadata.pairs(";".join(f"{key}={double(value)}" for key, value in pairs.items())) == pairs
    without = {key: value.replace("'", "") for key, value in pairs.items()}
    assert metadata.pairs(" ; ".join(f"{key} = '{value}'" for key, value in without.items())) == without
