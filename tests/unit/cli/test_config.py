"""Contexts are read, made and chosen in the file that all Pachyderm clients share."""

from __future__ import annotations

import io
import json
import stat
from pathlib import Path

import pytest

from pachlet.cli import main
from pachlet.cli.session import Session
from pachlet.client.connection import Address
from pachlet.client.context import (
    Context,
    active_transaction,
    context_of,
    read_config,
    resolve,
    set_context,
    set_transaction,
    write_config,
)
from pachlet.errors import PachletError, Refused, Usage


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config.json"


def written_by_pachctl(**fields: object) -> dict[str, object]:
    return {"user_id": "u", "v2": {"active_context": "c", "contexts": {"c": fields}, "metrics": True}}


@pytest.mark.parametrize(
    "config, environ, expected",
    [
        ({}, {}, Context()),
        ({}, {"PACHD_ADDRESS": "h:1"}, Context("h:1")),
        (
            written_by_pachctl(pachd_address="grpc://h:1", project="p", session_token="t"),
            {},
            Context("grpc://h:1", "p", "t"),
        ),
        (
            written_by_pachctl(pachd_address="grpc://h:1", project="p", session_token="t"),
            {"PACHD_ADDRESS": "other:2"},
            Context("other:2", "p"),  # the token is for h only
        ),
        (
            written_by_pachctl(pachd_address="grpc://h:1", session_token="t", active_transaction="x"),
            {"PACHD_ADDRESS": "h:1"},
            Context("h:1", token="t", transaction="x"),  # the same server in another spelling
        ),
        (written_by_pachctl(port_forwarders={"pachd": 4711}), {}, Context("127.0.0.1:4711")),
        (written_by_pachctl(active_transaction="x"), {}, Context(transaction="x")),
        (
            written_by_pachctl(pachd_address="grpcs://h", server_cas="YQ=="),
            {},
            Context("grpcs://h", certificates=b"a"),
        ),
    ],
)
def test_address_and_project_are_resolved(
    path: Path, config: dict[str, object], environ: dict[str, str], expected: Context
) -> None:
    path.write_text(json.dumps(config))
    assert resolve({"PACH_CONFIG": str(path), **environ}) == expected


def test_home_holds_the_config_by_default(tmp_path: Path) -> None:
    write_config(tmp_path / ".pachyderm" / "config.json", set_context({}, "c", pachd_address="grpc://h:1"))
    assert resolve({"HOME": str(tmp_path)}).address == "grpc://h:1"


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "\x00",
        '{"v2": 1}',
        '{"v2": {"contexts": [1]}}',
        '{"v2": {"contexts": {"c": 1}}}',
        '{"v2": {"active_context": {"c": 1}}}',
        '{"v2": {"contexts": {"c": {"session_token": "two\\nlines"}}}}',
        "[" * 100_000,
    ],
    ids=range(9),
)
def test_damaged_config_is_refused_in_words(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(PachletError, match=r"config\.json "):
        read_config(path)


def test_config_with_tokens_is_readable_by_its_owner_only(path: Path) -> None:
    write_config(path, {})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "text, shown, secure",
    [
        ("h", "h:30650", False),
        ("127.0.0.1:5", "127.0.0.1:5", False),
        ("grpc://h:1", "h:1", False),
        ("grpcs://h:443/", "h:443", True),
        ("https://h:443", "h:443", True),
        ("[::1]:9", "[::1]:9", False),
    ],
)
def test_addresses_are_read_in_every_spelling(text: str, shown: str, secure: bool) -> None:
    address = Address(text)
    assert (str(address), address.secure) == (shown, secure)
    assert Address(address.url).url == address.url


@pytest.mark.parametrize("text", ["", "h:x", "h:99999", "ftp://h:1", "a/b"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(Usage):
        Address(text)


def run(session: Session, *words: str) -> str:
    session.out = io.StringIO()
    assert main.run(session, words) == 0
    return session.out.getvalue()


def test_contexts_are_set_chosen_changed_listed_and_deleted(session: Session) -> None:
    session.input = io.BytesIO(b'{"pachd_address": "grpc://a:1"}')
    run(session, "config", "set", "context", "a")
    session.input = io.BytesIO(b"{}")
    run(session, "config", "set", "context", "b")
    assert run(session, "config", "get", "active-context") == "a\n"
    run(session, "config", "set", "active-context", "b")
    run(session, "config", "update", "context", "--project", "p")
    run(session, "config", "update", "context", "a", "--pachd-address", "x:2")
    assert run(session, "config", "list", "context") == "ACTIVE\tNAME\n\ta\n*\tb\n"
    assert json.loads(run(session, "config", "get", "context")) == {"project": "p"}
    assert json.loads(run(session, "config", "get", "context", "a")) == {"pachd_address": "grpc://x:2"}
    run(session, "config", "delete", "context", "a")
    assert run(session, "config", "list", "context") == "ACTIVE\tNAME\n*\tb\n"
    assert run(session, "config", "get", "metrics") == "false\n"


@pytest.mark.parametrize(
    "words",
    [
        ("config", "set", "active-context", "nope"),
        ("config", "get", "context", "nope"),
        ("config", "delete", "context", "nope"),
        ("config", "update", "context", "--project", "p"),
        ("config", "set", "metrics", "perhaps"),
    ],
)
def test_mistakes_about_contexts_are_told(session: Session, words: tuple[str, ...]) -> None:
    assert main.run(session, words) in (1, 2)
    assert session.err.getvalue().count("\n") == 1  # type: ignore[attr-defined]


def test_transaction_is_kept_with_its_server(path: Path) -> None:
    environ = {"PACH_CONFIG": str(path), "PACHD_ADDRESS": "h:1"}
    set_transaction(environ, "x")  # a context is made for it
    assert active_transaction(environ) == active_transaction({"PACH_CONFIG": str(path)}) == "x"
    assert active_transaction({**environ, "PACHD_ADDRESS": "other:1"}) == ""
    with pytest.raises(Refused, match="not the server at other:1"):
        set_transaction({**environ, "PACHD_ADDRESS": "other:1"}, "y")
    set_transaction(environ, "")
    assert active_transaction(environ) == ""


def test_address_brings_the_token_of_its_context(path: Path) -> None:
    config = set_context({}, "c", pachd_address="grpcs://h:1", session_token="t", server_cas="YQ==")
    write_config(path, config)
    environ = {"PACH_CONFIG": str(path)}
    assert context_of(environ, "grpcs://h:1") == Context("grpcs://h:1", token="t", certificates=b"a")
    assert context_of(environ, "grpc://other:1") == Context("grpc://other:1")


def test_settings_have_pachctls_words(session: Session) -> None:
    assert run(session, "config", "get", "active-context") == "NONE\n"
    assert run(session, "config", "get", "active-enterprise-context") == "NONE\n"
    session.input = io.BytesIO(b'{"pachd_address": "h"}')
    run(session, "config", "set", "context", "a")
    run(session, "config", "set", "active-enterprise-context", "a")
    assert run(session, "config", "list", "contexts") == "ACTIVE\tNAME\nE*\ta\n"
    assert run(
        session, "config", "update", "context", "--namespace", "n", "--remove-cluster-deployment-id"
    ) == ('editing the currently active context "a"\n')
    fields = json.loads(run(session, "config", "get", "context", "a"))
    assert fields == {"pachd_address": "grpc://h:30650", "namespace": "n"}
    run(session, "config", "set", "metrics", "true")
    assert run(session, "config", "get", "metrics") == "true\n"
    for words in (
        ("set", "metrics", "maybe"),
        ("set", "context", "a"),
        ("set", "active-enterprise-context", "b"),
        ("delete", "context", "a"),
        ("get", "context", "b"),
    ):
        assert main.run(session, ["config", *words]) in (1, 2)
