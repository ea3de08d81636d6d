"""From words to verbs, and from errors to one line and an exit status."""

from __future__ import annotations

import io
import subprocess
import sys
from importlib import import_module

import pytest

from pachlet.cli import main, registry
from pachlet.cli.hints import next_step
from pachlet.cli.session import Session
from pachlet.client.authorship import header
from pachlet.errors import NotFound, Refused, Usage


def errors_of(session: Session) -> str:
    text: str = session.err.getvalue()  # type: ignore[attr-defined]
    return text


@pytest.mark.parametrize("verb", registry.VERBS.values(), ids=lambda verb: verb.name)
def test_each_verb_has_its_functions_and_a_help(
    verb: registry.Verb, session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    module = import_module(f"pachlet.cli.verbs.{verb.module}")
    assert callable(getattr(module, verb.function))
    assert main.run(session, [*verb.words, "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: pachctl {verb.name} ")
    assert verb.help in " ".join(shown.split())
    assert "\nExit status: 0 " in shown


def test_overview_names_each_verb(session: Session) -> None:
    assert main.run(session, []) == 0
    shown = session.out.getvalue()  # type: ignore[attr-defined]
    assert all(f"  {verb.name} " in shown for verb in registry.VERBS.values())


@pytest.mark.parametrize(
    "typed, found",
    [
        ("list repos", "list repo"),
        ("list branches a", "list branch"),
        ("list pipelines", "list pipeline"),
        ("logs -p x", "logs"),
        ("version", "version"),
        ("list", None),
        ("fly repo", None),
    ],
)
def test_verbs_are_found_with_plural_nouns(typed: str, found: str | None) -> None:
    verb = registry.find(typed.split())
    assert (verb.name if verb else None) == found


@pytest.mark.parametrize(
    "typed, name, value",
    [
        ("put file -r=true a@b", "recursive", True),
        ("put file --recursive=false a@b", "recursive", False),
        ("put file a@b --recursive=F", "recursive", False),
        ("list commit a --all=T -n=3", "number", 3),
        ("create repo -- -x", "repo", "-x"),
        ("create repo -d about -- --all=true", "repo", "--all=true"),
        ("create repo -d-- -- x", "description", "--"),
        ("delete repo -f -- -x", "repo", "-x"),
        ("diff file -s -- -a@b -c@d", "old", "-c@d"),
        ("put file a@b -m=a=b", "message", "a=b"),
        ("list job --no-pager", "no_pager", True),
        ("diff file a@b:/ --full-timestamps", "full_timestamps", True),
        ("inspect defaults --cluster --raw", "raw", True),
    ],
)
def test_flags_are_taken_as_pachctl_takes_them(typed: str, name: str, value: object) -> None:
    assert getattr(main.parse(typed.split()), name) == value


@pytest.mark.parametrize(
    "words, status, said",
    [
        (["fly"], 2, "unknown verb `fly`; see `pachctl --help`\n"),
        (["list", "rpo"], 2, "unknown verb `list rpo`; did you mean `list repo`"),
        (
            ["create", "repo"],
            2,
            "the following arguments are required: repo; see `pachctl create repo --help`\n",
        ),
        (["create", "repo", "a", "--nonsense"], 2, "unrecognized arguments: --nonsense; see"),
        (["undeploy"], 1, "pachlet has no `undeploy`; stop the server with `pachlet stop`\n"),
        (["run", "pipeline", "x"], 1, "pachlet has no `run pipeline`; put new data"),
        (["run-pipeline", "x"], 1, "pachlet has no `run pipeline`; put new data"),
        (["kube-events"], 1, "pachlet has no `kube-events`; there is no Kubernetes"),
        (["config", "import-kube", "x"], 1, "pachlet has no `config import-kube`; there is no Kubernetes"),
        (["job"], 2, "unknown verb `job`; did you mean `inspect job`"),
        (["list", "repo", "--rpc-timeout", "soon"], 2, "error parsing duration 'soon'; write it like 24h"),
        (["--rpc-timeout=-1s", "list", "repo"], 2, "error parsing duration '-1s'"),
        (["list", "commit", "a", "-n", "-1"], 2, "'-1' is no number of things"),
        (["get", "file", "a@b:/c", "--offset", "9" * 30], 2, "what was given can't be sent: "),
        (["put", "file", "a@b", "-f", "x" * 300], 1, f"cannot use {'x' * 300}: File name too long\n"),
        (
            ["get", "file", "a@b:/c", "-o", "x" * 300, "--retry"],
            1,
            f"cannot use {'x' * 300}: File name too long\n",
        ),
        (["create", "repo", "\udcff"], 2, "\\xff is not text in UTF-8\n"),
        (["start", "commit", "a@b", "-m", "a \udcff"], 2, "a \\xff is not text in UTF-8\n"),
        (
            ["create", "pipeline", "-f", "http://127.0.0.1:1/x"],
            1,
            "cannot read http://127.0.0.1:1/x: Connection refused\n",
        ),
        (["squash", "commit", "a@b"], 2, "a@b is one commit, and this verb takes the id of a commit set"),
        (
            ["deploy", "local"],
            2,
            "`deploy local` is of Pachyderm 1.x, which had to be deployed; `pachlet serve` is",
        ),
        (
            ["squash", "commit", "0123"],
            2,
            "'0123' is no id of a commit or job; it has 32 hexadecimal digits\n",
        ),
        (["delete", "commit", "0123"], 2, "'0123' is no id of a commit or job"),
        (
            ["put", "file", "a@b", "-r=maybe"],
            2,
            "-r is on or off, and 'maybe' is neither; write -r, or -r=false\n",
        ),
        (["delete", "repo", "a", "-A"], 2, "cannot use the --all-projects flag with an argument"),
        (["fsck", "--zombie", "a@b", "--zombie-all"], 2, "either check all pipelines"),
        (["subscribe", "commit", "a", "--all", "--origin", "auto"], 2, "cannot specify both"),
        (["import", "a"], 2, "the following arguments are required: --from"),
        (["list", "repo"], 1, "no server at 127.0.0.1:1; start one with `pachlet serve`"),
        (["get", "file", "a@b:/c", "-r"], 2, "an output path needs to be specified"),
        (["delete", "repo"], 2, "delete repo takes the name of a repo, or --all"),
        (["get", "file", "@b:/c"], 2, 'invalid format "@b:/c": repo cannot be empty\n'),
        (["get", "file", "a"], 2, 'invalid format "a": a branch or commit is needed; write a@master:/path\n'),
        (
            ["get", "file", "a:/c"],
            2,
            'invalid format "a:/c": a branch or commit is needed; write a@master:/c\n',
        ),
        (
            ["list", "file", "a@:/c"],
            2,
            'invalid format "a@:/c": a branch or commit is needed; write a@master:/c\n',
        ),
        (["put", "file", "a@b:/c", "-f", "missing"], 1, "no server at"),
        (["serve", "--port", "70000"], 2, "70000 is no port; a port is a number up to 65535\n"),
        (["serve", "--port", "x"], 2, "'x' is no whole number; such as 10\n"),
        (["serve", "--workers", "-1"], 2, "-1 is no number of workers; at most 1000"),
        (["serve", "--workers", "1000000"], 2, "1000000 is no number of workers; at most 1000"),
        (
            ["serve", "--data-dir", ""],
            2,
            "the name of a folder is empty; write . for the one that you are in\n",
        ),
        (["backup", ""], 2, "the name of a folder is empty"),
        (["get", "file", "a@b:/c", "--offset", "1k"], 2, "'1k' is no whole number"),
        (
            ["wait", "job", "x"],
            2,
            'invalid format "x": expected pipeline@job-id; x@master is that of its newest output\n',
        ),
    ],
)
def test_mistakes_get_one_line_and_a_status(
    session: Session, words: list[str], status: int, said: str
) -> None:
    assert main.run(session, words) == status
    assert errors_of(session).startswith(said)
    assert errors_of(session).count("\n") == 1


def test_old_spelling_is_understood_and_told(session: Session) -> None:
    assert main.run(session, ["create-repo", "images"]) == 1
    assert errors_of(session).splitlines()[0] == "note: today this is written `pachctl create repo images`"


def raising(error: BaseException) -> object:
    def raise_it(*_: object) -> None:
        raise error

    return raise_it


@pytest.mark.parametrize(
    "error, status, said",
    [
        (NotFound("two\nlines", hint="look"), 1, "two lines; look\n"),
        (Usage("odd words"), 2, "odd words\n"),
        (KeyboardInterrupt(), 130, ""),
        (BrokenPipeError(), 141, ""),
        (PermissionError(13, "Permission denied", "no/x"), 1, "cannot use no/x: Permission denied\n"),
        (
            FileNotFoundError(2, "No such file"),
            1,
            "cannot use the current folder: it is gone; change to another\n",
        ),
        (
            RuntimeError("boom"),
            1,
            "a bug in pachlet 0.1.0: RuntimeError: boom; please report it with the command and the output under"
            " PACHLET_TRACEBACK=1\n",
        ),
    ],
)
def test_whatever_happens_ends_quietly(
    session: Session, monkeypatch: pytest.MonkeyPatch, error: BaseException, status: int, said: str
) -> None:
    monkeypatch.setattr("pachlet.cli.verbs.cluster.version", raising(error))
    assert main.run(session, ["version"]) == status
    assert errors_of(session) == said


def test_bug_shows_its_traceback_when_asked(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pachlet.cli.verbs.cluster.version", raising(RuntimeError("boom")))
    session.environ = {**session.environ, "PACHLET_TRACEBACK": "1"}
    with pytest.raises(RuntimeError):
        main.run(session, ["version"])


def test_a_message_of_a_put_that_is_no_text_is_told() -> None:
    with pytest.raises(Usage, match=r"^a \\xff is not text in UTF-8$"):
        header(message="a \udcff")


@pytest.mark.parametrize(
    "message, hint",
    [
        ("repo default/x not found", "`pachctl create repo default/x` makes it"),
        (
            'branch "b" not found in repo default/x',
            "see `pachctl list repo -A` and `pachctl list branch default/x`",
        ),
        ("file /a not found in repo p/r at commit 1", "see `pachctl list file p/r@1:/`"),
        ('pipeline "edges" already exists', "change it with `pachctl update pipeline -f SPEC`"),
        ("template err: RUNTIME ERROR: function parameter x not bound in call.", "`--arg x=VALUE` gives it"),
        ("template err: RUNTIME ERROR: function has no parameter x", "leave `--arg x=...` out"),
        ("Deadline Exceeded", "no answer came in the time of --rpc-timeout"),
        ("quite something else", ""),
    ],
)
def test_errors_of_any_server_get_a_next_step(message: str, hint: str) -> None:
    found = next_step(Refused(message), "pachctl")
    assert found.startswith(hint)
    assert bool(found) == bool(hint)


def test_delete_all_does_nothing_without_a_yes(session: Session) -> None:
    for answer in (b"", b"no\n"):
        session.input = io.BytesIO(answer)
        assert main.run(session, ["delete", "all"]) == 1
    assert "nothing was deleted" in errors_of(session)
    assert "no server" not in errors_of(session)


def test_timeout_is_for_every_call_of_the_command(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []
    monkeypatch.setattr(
        "pachlet.cli.verbs.repo.list_repo", lambda session, _: seen.append(session.rpc_timeout) or 0
    )
    for words in (["--rpc-timeout", "2s", "list", "repo"], ["list", "repo", "--rpc-timeout=1m30s"]):
        assert main.run(session, words) == 0
    assert seen == [2.0, 90.0]


def test_nothing_is_looked_through_for_garbage_at_the_end() -> None:
    """It would take a sixth of a short command."""
    code = """
import atexit, gc, sys
from pachlet.cli.main import main
sys.argv = ["pachctl", "version", "--client-only"]
atexit.register(lambda: print(gc.get_freeze_count() > 1000, file=sys.stderr))
sys.exit(main())
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stderr == "True\n"


def test_short_commands_import_neither_grpc_nor_protobuf() -> None:
    """What makes the command line start in a few dozen milliseconds."""
    code = """
import sys
from pachlet.cli.main import main
sys.argv[0] = "pachctl"
status = main(["version", "--client-only"]) or main([]) or main(["config", "list", "context"])
heavy = [name for name in ("grpc", "google.protobuf", "yaml", "asyncio", "pachlet.server") if name in sys.modules]
print(heavy, file=sys.stderr)
sys.exit(status)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stderr == "[]\n"
