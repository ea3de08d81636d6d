"""Deploy, to a server that has nothing of pachlet's own: what is sent, that a second run changes nothing, and that
`trace` finds the code there.

The registry is one of the tests' own. Where there is a container engine, images are built, pushed, pulled and run.
"""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from pachlet import testing
from pachlet.cli.code import code_under
from pachlet.client.apply import DIGEST, DIRTY, GIT, IMAGE, apply_specs
from pachlet.client.connection import Connection
from pachlet.client.deploy import Data, Deployed, check_specs, deploy
from pachlet.client.get_file import get_bytes
from pachlet.client.pipelines import inspect_pipeline
from pachlet.client.projects import list_project
from pachlet.errors import FailedPrecondition, InvalidArgument, NotFound, Unimplemented, Usage
from pachlet.remote.shipping import repository_of
from pachlet.spec.parse import parse_specs
from pachlet.wire import schema
from pachlet.worker.containers.engine import Engine
from tests.acceptance.typed import Terminal
from tests.acceptance.words import ended, last_job
from tests.docs.console import blocks, commands
from tests.registry import registry

ROOT = Path(__file__).parent.parent.parent
STEP = """import pathlib
for file in pathlib.Path("/pfs/in").rglob("*"):
    if file.is_file():
        pathlib.Path("/pfs/out", file.name).write_text(file.read_text().upper())
"""


class Yard:
    """Gives digests without building anything."""

    def __init__(self) -> None:
        self.pushed: list[str] = []
        self.builder = "1"

    def repository(self, reference: str) -> str:
        return f"registry.test/me/{reference.removeprefix('pachlet/').partition(':')[0]}"

    def push(self, reference: str) -> str:
        self.pushed.append(reference)
        return f"{self.repository(reference)}@sha256:{self.builder * 64}"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository of git with an image, two specs and data."""
    root = tmp_path / "project"
    (root / "images" / "upper").mkdir(parents=True)
    (root / "images" / "upper" / "Dockerfile").write_text(
        "ARG BASE=python:3.11-slim-bookworm\nFROM ${BASE}\nCOPY upper.py /app/upper.py\n"
    )
    (root / "upper.py").write_text(STEP)
    (root / "specs").mkdir()
    for name, reads, image in (("upper", "in", "pachlet/upper"), ("again", "upper", "pachlet/upper:latest")):
        spec = {
            "pipeline": {"name": name},
            "transform": {"image": image, "cmd": ["python3", "/app/upper.py"]},
            "input": {"pfs": {"repo": reads, "glob": "/*", "name": "in"}},
            "metadata": {"annotations": {"pachlet/network": "deny"}},
        }
        (root / "specs" / f"{name}.json").write_text(json.dumps(spec))
    (root / "words" / "deep").mkdir(parents=True)
    (root / "words" / "a").write_text("one")
    (root / "words" / "deep" / "b").write_text("two")
    (root / "words" / ".hidden").write_text("not sent")
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-qm", "first")
    return root


def git(root: Path, *words: str) -> str:
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@host"]
    return subprocess.run(
        ["git", "-C", str(root), *who, *words], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Connection]:
    """A server without what is pachlet's own, and without a folder of images."""
    (tmp_path / "nothing").mkdir()
    with (
        testing.server(tmp_path / "data", code=tmp_path / "nothing", stock=True, workers=0) as running,
        Connection(running.address, project="words") as connection,
    ):
        yield connection


def send(cluster: Connection, project: Path, yard: Yard, **more: Any) -> list[Deployed]:
    files = sorted((project / "specs").iterdir())
    specs = [each.json for file in files for each in parse_specs(file.read_bytes(), file.name)]
    data = [Data("in", "/texts", project / "words")]
    return deploy(cluster, specs, code_under(project), yard, data, **more)


def changes(done: list[Deployed]) -> list[str]:
    return [str(each) for each in done if each.is_change]


def test_a_stock_server_answers_nothing_of_ours(cluster: Connection) -> None:
    for service, method in (("pachlet.v1.Storage", "ListPurges"), ("pachlet.v1.Lineage", "Trace")):
        with pytest.raises(Unimplemented):
            list(cluster.call(service, method, {}))
    assert cluster.call("versionpb_v2.API", "GetVersion", {}).additional == ""


def test_repos_data_and_pipelines_are_sent_once(cluster: Connection, project: Path) -> None:
    yard = Yard()
    expected = [
        "repo words/in: created",
        "data in:/texts: 2 files put",
        "pipeline words/upper: created",
        "pipeline words/again: created",
    ]
    assert changes(send(cluster, project, yard, dry_run=True)) == expected
    assert yard.pushed == []
    with pytest.raises(NotFound):
        inspect_pipeline(cluster, "upper")
    assert changes(send(cluster, project, yard)) == expected
    assert yard.pushed == ["pachlet/upper", "pachlet/upper:latest"]
    assert get_bytes(cluster, "in@master:/texts/deep/b") == b"two"
    info = inspect_pipeline(cluster, "upper")
    assert info.details.transform.image == f"registry.test/me/upper@sha256:{'1' * 64}"
    noted = info.details.metadata.annotations
    assert noted["pachlet/network"] == "deny"
    assert noted[IMAGE] == "pachlet/upper"
    assert noted[DIGEST] == code_under(project)("pachlet/upper").digest  # type: ignore[union-attr]
    assert (noted[GIT], noted[DIRTY]) == (git(project, "rev-parse", "HEAD"), "false")
    yard.pushed.clear()
    assert changes(send(cluster, project, yard)) == []
    yard.builder = "2"  # another machine, which builds the same code to another digest
    assert changes(send(cluster, project, yard)) == []
    assert yard.pushed == []


def test_an_image_that_can_not_be_built_leaves_the_server_as_it_was(
    cluster: Connection, project: Path
) -> None:
    class Broken(Yard):
        def push(self, reference: str) -> str:
            raise FailedPrecondition("no base")

    with pytest.raises(FailedPrecondition, match="no base"):
        send(cluster, project, Broken())
    assert [each.project.name for each in list_project(cluster)] == ["default"]


@pytest.mark.parametrize(
    "registry",
    ["http://bad host/..", "https://registry.test", "bad host", "registry.test/..", "a/B", "/a", "h:x"],
)
def test_what_is_no_registry_is_refused_with_what_one_looks_like(registry: str) -> None:
    with pytest.raises(Usage, match="no name of a registry") as refused:
        repository_of("pachlet/upper", registry)
    assert "registry.example.com/team" in refused.value.hint


@pytest.mark.parametrize(
    "registry", ["localhost:5000", "127.0.0.1:5000/a", "[::1]:5000", "r.test/a_b/c-d/", "me"]
)
def test_a_registry_is_taken_as_it_is_written(registry: str) -> None:
    assert repository_of("pachlet/upper:latest", registry) == f"{registry.rstrip('/')}/upper"


def test_what_changed_is_sent_and_nothing_else(cluster: Connection, project: Path) -> None:
    yard = Yard()
    send(cluster, project, yard)
    (project / "words" / "a").write_text("other")
    (project / "words" / "deep" / "b").unlink()
    assert changes(send(cluster, project, yard)) == ["data in:/texts: 1 file put, 1 deleted"]
    (project / "upper.py").write_text(STEP + "# a remark\n")
    assert changes(send(cluster, project, yard)) == [
        "pipeline words/upper: code changed (upper.py), reprocessing",
        "pipeline words/again: code changed (upper.py), reprocessing",
    ]
    assert inspect_pipeline(cluster, "upper").details.metadata.annotations[DIRTY] == "true"
    git(project, "commit", "-qam", "second")  # the same code: nothing to send
    assert changes(send(cluster, project, yard)) == []


def test_another_registry_is_no_reason_to_run_again(cluster: Connection, project: Path) -> None:
    class Elsewhere(Yard):
        def repository(self, reference: str) -> str:
            return f"other.test/{reference.partition(':')[0]}"

    send(cluster, project, Yard())
    moved = changes(send(cluster, project, Elsewhere()))
    assert moved == [
        f"pipeline words/{name}: spec changed (transform), updated" for name in ("upper", "again")
    ]


@pytest.mark.parametrize("folder", ["crypto", "iris"])
def test_what_is_sent_of_our_own_pipelines_is_what_pachyderm_reads(folder: str) -> None:
    specs = [
        each.json
        for file in sorted((ROOT / "pipelines" / folder).glob("*.json"))
        for each in parse_specs(file.read_bytes(), file.name)
    ]
    check_specs(specs)
    sent: list[dict[str, Any]] = []

    class Cluster:
        project = folder
        transaction = ""

        def call(self, service: str, method: str, request: dict[str, Any], **more: Any) -> Any:
            if method == "InspectPipeline":
                raise NotFound("none")
            if method == "CreatePipelineV2":
                sent.append(json.loads(request["create_pipeline_request_json"]))
                return schema.message("pps_v2.CreatePipelineV2Response")()
            return schema.message("transaction_v2.Transaction")(id="t")

    apply_specs(Cluster(), specs, code_under(ROOT), yard=Yard())  # type: ignore[arg-type]
    assert len(sent) == len(specs)
    check_specs(sent)
    for spec in sent:
        assert "@sha256:" in spec["transform"]["image"]
        json_format.ParseDict(
            spec, schema.message("pps_v2.CreatePipelineRequest")()
        )  # knows no unknown fields


@pytest.mark.parametrize(
    "metadata,said",
    [
        ({"annotations": {"no key!": "x"}}, "'no key!' is no key of Kubernetes"),
        ({"labels": {"-x": "x"}}, "'-x' is no key of Kubernetes"),
        ({"annotations": {"x": "y" * 300_000}}, "more than 256 KiB"),
    ],
)
def test_what_a_cluster_would_refuse_is_told_before_anything_is_sent(
    metadata: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidArgument, match=f"pipeline a: metadata.*{said}"):
        check_specs([{"pipeline": {"name": "a"}, "metadata": metadata}])


def test_data_is_read_as_repo_and_folder(tmp_path: Path) -> None:
    assert Data.parse(f"in:/raw/={tmp_path}") == Data("in", "/raw", tmp_path)
    for wrong in ("in", f"={tmp_path}", "in=", f"in:raw={tmp_path}", f"in@master={tmp_path}"):
        with pytest.raises(Usage, match="not understood"):
            Data.parse(wrong)
    with pytest.raises(NotFound, match="is no folder"):
        Data.parse("in=/no/such/folder")


def test_the_command_says_where_to_and_what_is_missing(
    cluster: Connection, project: Path, tmp_path: Path
) -> None:
    terminal = Terminal("127.0.0.1:1", tmp_path)  # where nobody answers: only --to counts
    words = ["deploy", str(project / "specs"), "--code", str(project), "--project", "words"]
    assert "where to?" in terminal.run(*words).err
    assert "context does not exist: prod" in terminal.run(*words, "--context", "prod").err
    lost = terminal.run(*words, "--to", str(cluster.address))
    assert (lost.out, "there is no registry to push to" in lost.err) == ("", True)
    to = [*words, "--to", f"grpc://{cluster.address}", "--data", f"in={project / 'words'}"]
    planned = terminal.ok(*to, "--registry", "registry.test", "--dry-run").out
    assert planned.splitlines()[-1].startswith("4 of 4 would change at")
    terminal.ok(
        "config", "set", "context", "prod", given=json.dumps({"pachd_address": f"grpc://{cluster.address}"})
    )
    again = terminal.ok(*words, "--context", "prod", "-r", "registry.test", "--dry-run").out
    assert "pipeline words/upper: created" in again


def test_the_command_of_the_document_prints_what_it_shows(
    cluster: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs" / "deploy.md").read_text()
    page = page.replace("pachd.example.com:30650", str(cluster.address))
    [shown] = [each for kind, block in blocks(page) if kind == "console" for each in commands(block)]
    program, *words = shlex.split(shown.words)
    assert program == "pachlet"
    monkeypatch.chdir(ROOT)
    assert Terminal("127.0.0.1:1", tmp_path).ok(*words).out == shown.output


def test_images_are_pushed_pulled_and_run_and_trace_tells_their_code(
    container_engine: Engine, project: Path, tmp_path: Path
) -> None:
    (tmp_path / "nothing").mkdir()
    with (
        registry() as held,
        testing.server(
            tmp_path / "data", code=tmp_path / "nothing", stock=True, runner="container", workers=1
        ) as running,
        Connection(running.address, project="words") as there,
    ):
        terminal = Terminal("127.0.0.1:1", tmp_path)
        words = ["deploy", str(project / "specs"), "--code", str(project), "--project", "words", "-u", "me"]
        words += ["--to", running.address, "-r", held.address, "--data", f"in={project / 'words'}"]
        said = terminal.ok(*words)
        assert "pipeline words/again: created" in said.out
        assert ended(last_job(there, "again"))[0] == "SUCCESS"
        assert get_bytes(there, "again@master:/a") == b"ONE"
        assert terminal.ok(*words).out.splitlines()[-1].startswith("nothing to do: ")
        image = inspect_pipeline(there, "upper").details.transform.image
        assert image.startswith(f"{held.address}/me/upper@sha256:")
        at = Terminal(running.address, tmp_path)
        traced = at.ok("trace", "again@master:/a", "--project", "words").out
        assert f"code  {image.partition('@')[0]}@sha256:" in traced
        assert f"code {code_under(project)('pachlet/upper').digest}" in traced  # type: ignore[union-attr]
        assert f"git {git(project, 'rev-parse', 'HEAD')[:12]}" in traced
