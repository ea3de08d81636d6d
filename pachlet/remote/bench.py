"""A folder in which one datum is run here, as often as one likes, outside of any server.

    datum.json   which datum it is, and its transform and variables, to be changed
    pfs/         its inputs; what the step writes is in pfs/out
    code/        the files that the image copies, to be mended

It is run by the same runner and in the same sandbox as a server's datums. What is changed in the folder counts at the
next run: nothing is asked of the server again.

Read next: datum.py (what a datum takes), terminal.py (a shell), ../worker/interface.py (the runner).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pachlet.client.connection import Connection
from pachlet.client.files import walk_file
from pachlet.client.get_file import download_file, get_folder
from pachlet.errors import FailedPrecondition, NotFound, PachletError, Unimplemented
from pachlet.pps.permits import may_use_network
from pachlet.pps.running import transform_of
from pachlet.remote.code import keep_code
from pachlet.remote.datum import File, OneDatum
from pachlet.remote.terminal import on_terminal
from pachlet.worker.choosing import choose_runner
from pachlet.worker.head import InputFile
from pachlet.worker.interface import Image, Outcome, Prepared, Runner, Secrets, Session
from pachlet.worker.outputs import find_outputs
from pachlet.worker.process_session import ProcessSession
from pachlet.worker.scratch import remove

NOTE = "datum.json"
SHELL = ("sh", "-c", "command -v bash >/dev/null && exec bash; exec sh")
_DIR = 2  # FileType.DIR
Say = Callable[[str], None]


@dataclass(frozen=True)
class Wishes:
    """What its user wants otherwise than the spec."""

    environ: Mapping[str, str]
    """More variables, such as those of secrets, which no server gives away."""
    network: bool = False
    code_is_given: bool = False
    """Whether the code of the folder that the runner knows is wanted, and not that which ran."""


def open_runner(kind: str, code: Path, envs: Path) -> Runner:
    """Return what steps are run by here; `kind` is auto, process or container.

    It starts a process of its own to make sandboxes with, so call it before gRPC has threads.

    Raises:
        FailedPrecondition: containers are asked for, and no engine answers.
    """
    runner = choose_runner(kind, code, envs, owner=f"bench {os.getpid()}")
    runner.means()
    return runner


def lay_out(connection: Connection, datum: OneDatum, folder: Path, say: Say, *, asked: str = "") -> None:
    """Make the folder of a datum; its inputs come through the API of whatever Pachyderm it is.

    `asked` are the words by which its user named it, which are kept.

    Raises:
        FailedPrecondition: there is something in the folder.
    """
    if folder.exists() and any(folder.iterdir()):
        raise FailedPrecondition(f"{folder} is not empty", hint="name a folder that is not there yet")
    pfs = folder / "pfs"
    (pfs / "out").mkdir(parents=True)
    for file in datum.files:
        say(f"getting {file.name}")
        _get(connection, file, pfs / file.at.rstrip("/"))
    note = {
        "pipeline": datum.pipeline,
        "version": datum.version,
        "job": datum.job,
        "datum": datum.id,
        "asked": asked,
        "ended": datum.ended,
        "image": {"reference": datum.reference, "digest": datum.digest, "kind": datum.kind},
        "spec": datum.spec,
        "environ": dict(datum.environ),
    }
    (folder / NOTE).write_text(json.dumps(note, indent=2, ensure_ascii=False) + "\n")


def _get(connection: Connection, file: File, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    if file.is_empty:
        _get_names(connection, file, to)
    elif file.is_dir:
        to.mkdir(exist_ok=True)
        get_folder(connection, file.name, to)
    else:
        download_file(connection, file.name, to)


def _get_names(connection: Connection, file: File, to: Path) -> None:
    if not file.is_dir:
        to.touch()
        return
    top = file.name.partition(":")[2].rstrip("/")
    for each in walk_file(connection, file.name):
        if each.file_type != _DIR:
            empty = to / each.file.path[len(top) :].lstrip("/")
            empty.parent.mkdir(parents=True, exist_ok=True)
            empty.touch()


class Bench:
    """The folder of a datum, and what it is run by."""

    def __init__(self, folder: Path, runner: Runner, wishes: Wishes, say: Say) -> None:
        """Take a folder that was laid out; raise FailedPrecondition if its note can't be read."""
        self.folder = folder.resolve()
        self._runner = runner
        self._wishes = wishes
        self._say = say
        try:
            self.note: dict[str, Any] = json.loads((folder / NOTE).read_text())
            self._transform = transform_of(self.note["spec"])
        except (OSError, ValueError, KeyError, TypeError) as problem:
            raise FailedPrecondition(f"{folder / NOTE} can't be used: {problem}") from None
        if missing := _missing_secrets(self.note["spec"], wishes.environ):
            say(f"note: no server gives secrets away; the step lacks {', '.join(missing)}")

    def check_holds(self, datum: OneDatum) -> None:
        """Raise FailedPrecondition if the folder is another datum's."""
        note = self.note
        if (note["pipeline"], note["datum"]) != (datum.pipeline, datum.id):
            raise FailedPrecondition(
                f"{self.folder} holds datum {note['datum'][:12]} of {note['pipeline']},"
                f" not datum {datum.id[:12]} of {datum.pipeline}",
                hint="name another folder to --keep, or remove this one",
            )
        if datum.version and note["job"] != datum.job:
            raise FailedPrecondition(
                f"{self.folder} holds the datum as job {note['job']} ran it, not as {datum.job} did",
                hint="name another folder to --keep, or remove this one",
            )

    def make_ready(self, connection: Connection) -> None:
        """Find the image, and copy its code into the folder unless it lies there already."""
        image = self._find_image(connection)
        if image.warning:
            self._say(image.warning)
        self.note["image"] = {"reference": image.reference, "digest": image.digest, "kind": image.kind}
        (self.folder / NOTE).write_text(json.dumps(self.note, indent=2, ensure_ascii=False) + "\n")

    def run(self, log: Say) -> tuple[Outcome, list[str]]:
        """Run the step once; return what became of it, and the paths that it wrote to /pfs/out."""
        spec = self.note["spec"]
        timeout = spec.get("datum_timeout")
        seconds = float(str(timeout).removesuffix("s")) if timeout else None
        with self._session() as session:
            session.clear(keep_inputs=True)
            outcome = session.run(self.note["environ"], log, seconds)
            if not outcome.ok:
                return outcome, []
            return outcome, [path for path, _ in self._outputs(session)]

    def shell(self) -> Outcome:
        """Let the user of the terminal look around where the step would run."""
        with self._session() as session:
            environ = self.note["environ"]
            if isinstance(session, ProcessSession):
                return on_terminal(lambda stdio, cmd: session.attach(cmd, environ, stdio), SHELL)
            # The library of engines is optional, so who runs containers is not imported for everybody.
            from pachlet.worker.containers.session import ContainerSession

            if not isinstance(session, ContainerSession):
                raise Unimplemented(
                    f"there is no shell with the runner {self._runner.description}",
                    hint="--run runs the step",
                )
            return session.attach(SHELL, environ)  # an engine's command line sees to the terminal

    def _outputs(self, session: Session) -> list[tuple[str, Any]]:
        pfs = session.pfs
        inputs = [each.relative_to(pfs).as_posix() for each in pfs.rglob("*") if each.is_file()]
        known = {each: InputFile(each, b"", 0) for each in inputs if not each.startswith(("out/", ".env"))}
        return list(find_outputs(session.locate, known))

    @contextmanager
    def _session(self) -> Iterator[Session]:
        """Open a session on the folder; its pfs/ is lent to it meanwhile."""
        prepared = self._prepare()
        scratch, ours = self.folder / ".session", self.folder / "pfs"
        if not ours.exists() and (scratch / "pfs").exists():  # we were killed
            (scratch / "pfs").rename(ours)
        remove(scratch)
        scratch.mkdir()
        ours.rename(scratch / "pfs")
        spec = self.note["spec"]
        secrets = Secrets({**self._wishes.environ}, {})
        transform = replace(self._transform, secrets=secrets, memory_volume=False)
        network = self._wishes.network or may_use_network(spec, "ask")
        name = self.note["pipeline"].rpartition("/")[2]
        session = self._runner.open(
            prepared,
            transform,
            scratch,
            {"PPS_POD_NAME": f"pipeline-{name}-v{self.note['version']}-0"},
            network="host" if network else "none",
            shown=self._shown(prepared),
        )
        try:
            yield session
        finally:
            (scratch / "pfs" / ".env").unlink(missing_ok=True)
            (scratch / "pfs").rename(ours)
            (scratch / "pfs").mkdir()
            session.close()

    def _prepare(self) -> Prepared:
        facts = self.note["image"]
        image = Image(facts["reference"], facts["digest"], facts["kind"], {})
        prepared = self._runner.prepare(image, self.folder / ".image", self._say)
        code = self.folder / "code"
        if not code.exists():
            shutil.copytree(
                prepared.files, code, copy_function=_copy
            ) if prepared.files.exists() else code.mkdir()
        return replace(prepared, files=code)

    def _shown(self, prepared: Prepared) -> dict[str, Path]:
        """Return what a container is shown of the code: an engine has its image's own otherwise."""
        if prepared.image.kind != "code" or prepared.python is not None:
            return {}
        return {f"/{each.name}": each for each in (self.folder / "code").iterdir()}

    def _find_image(self, connection: Connection) -> Image:
        noted = self.note["image"]
        reference, digest, kind = noted["reference"], noted["digest"], noted["kind"]
        if kind == "container" and digest and self._runner.description.startswith("container"):
            return Image(reference, digest, "container", {})
        problem: PachletError | None = None
        try:
            now: Image | None = self._runner.resolve(reference)
        except PachletError as error:
            now, problem = None, error
        wants_what_ran = bool(digest) and not self._wishes.code_is_given
        if wants_what_ran and (now is None or (now.kind == "code" and now.digest != digest)):
            try:
                pieces = connection.call("pachlet.v1.Proofs", "Code", {"digest": digest})
                keep_code(iter(pieces), self.folder / ".image")
                return Image(reference, digest, "code", {})
            except (Unimplemented, NotFound) as error:
                problem = problem or error
        if now is None:
            assert problem is not None
            raise problem
        if digest and now.digest != digest:
            self._say(
                f"note: this is not what ran: {reference} was {digest[:19]}, and is {now.digest[:19]} here"
            )
        return now


def _copy(source: str, target: str) -> str:
    """Copy a file so that it can be changed."""
    shutil.copyfile(source, target)
    Path(target).chmod(0o755 if Path(source).stat().st_mode & 0o111 else 0o644)
    return target


def _missing_secrets(spec: Mapping[str, Any], given: Mapping[str, str]) -> list[str]:
    """Return what a spec takes from secrets and is not given here, as a user would look for it."""
    found = []
    for each in (spec.get("transform") or {}).get("secrets") or []:
        variable, path = each.get("env_var"), each.get("mount_path")
        if variable and variable not in given:
            found.append(f"{variable} (--env {variable}=VALUE)")
        elif path:
            found.append(f"the files at {path}")
    return found
