"""The shells' scripts hold every verb and its flags, and bash, zsh and fish take them."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from pachlet.cli import main, registry
from pachlet.cli.session import Session
from pachlet.cli.verbs.completion import all_words


def script(session: Session, shell: str) -> str:
    assert main.run(session, ["completion", shell]) == 0
    return session.out.getvalue()  # type: ignore[attr-defined,no-any-return]


@pytest.mark.parametrize(
    "typed, offered",
    [
        ("fs", {"fsck"}),
        ("create r", {"repo"}),
        ("squash ", {"commit", "commitV2"}),
        ("create repo --des", {"--description"}),
        ("create repo images --proj", {"--project"}),
        ("logs -p x --fol", {"--follow"}),
        ("config set act", {"active-context", "active-enterprise-context"}),
        ("nonsense of some kind ", set()),
    ],
)
def test_bash_completes_verbs_and_flags(session: Session, typed: str, offered: set[str]) -> None:
    words = ["pachctl", *typed.split(" ")]
    show = "printf '%s\n' \"${COMPREPLY[@]}\""
    ask = f"COMP_WORDS=({shlex.join(words)}); COMP_CWORD={len(words) - 1}; _pachctl; {show}"
    bash = shutil.which("bash") or pytest.skip("there is no bash here")
    ran = subprocess.run(
        [bash, "--norc", "-c", f"{script(session, 'bash')}\n{ask}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert {word for word in ran.stdout.split() if not word.startswith("-h")} == offered
    assert ran.stderr == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_takes_its_script(session: Session, shell: str) -> None:
    program = shutil.which(shell) or pytest.skip(f"there is no {shell} here")
    subprocess.run([program, "-n"], input=script(session, shell), text=True, check=True)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script_names_every_verb(session: Session, shell: str) -> None:
    text = script(session, shell)
    assert all(word in text for verb in registry.VERBS.values() for word in verb.words)
    assert "--trigger-commits" in text


def test_words_are_those_of_the_parsers() -> None:
    words = all_words()
    assert {"create", "put", "logs", "completion"} <= set(words[""])
    assert words["create"]["repo"] == "Create a repo."
    assert {"-d", "--description", "--project", "--help"} <= set(words["create repo"])


def test_script_is_installed_where_it_is_wanted(session: Session, tmp_path: Path) -> None:
    place = tmp_path / "deep" / "_pachctl"
    assert main.run(session, ["completion", "zsh", "--install", "--path", str(place)]) == 0
    assert place.read_text().startswith("#compdef pachctl pachlet\n")
    assert f'Completions installed in "{place}"' in session.out.getvalue()  # type: ignore[attr-defined]
    assert main.run(session, ["completion", "zsh", "--install", "--path", str(tmp_path)]) == 1
