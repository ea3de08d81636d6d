"""Where a server keeps its things, all below one data directory.

    pachlet.db      the database          packs/     the bytes of files
    code/           code of jobs          scratch/   datums in progress, emptied at start
    nonces/         secrets that prove who a caller is, emptied at start
    server.json     address and process of the server that is running
    lock            held by it

Read next: server.py.
"""

from __future__ import annotations

import configparser
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DEFAULT_DATA_DIR = Path(".pachlet")
DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 30650


@dataclass(frozen=True)
class DataDir:
    """The paths of a data directory."""

    path: Path

    @property
    def database(self) -> Path:
        """The database file."""
        return self.path / "pachlet.db"

    @property
    def packs(self) -> Path:
        """The folder of pack files."""
        return self.path / "packs"

    @property
    def code(self) -> Path:
        """The folder of code snapshots, named by digest."""
        return self.path / "code"

    @property
    def scratch(self) -> Path:
        """The folder that workers lay out datums in."""
        return self.path / "scratch"

    @property
    def nonces(self) -> Path:
        """The folder of files that only the server's user can read; see api/nonces.py."""
        return self.path / "nonces"

    @property
    def lock(self) -> Path:
        """The file that a running server holds a lock on."""
        return self.path / "lock"

    @property
    def label(self) -> Path:
        """The file that says that this is a backup, and of what."""
        return self.path / "backup.json"

    @property
    def server(self) -> Path:
        """The file that says where the running server listens."""
        return self.path / "server.json"


def default_envs() -> Path:
    """Return the folder where the environments of images are kept, shared by all data directories of a user."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pachlet" / "environments"


def default_workers() -> int:
    """Return how many datums run at the same time unless told otherwise: one per processor that we may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def docker_host() -> str:
    """Return where the user's Docker clients look for the engine, or ''."""
    return os.environ.get("DOCKER_HOST", "")


def has_podman_settings() -> bool:
    """Tell whether the user's Podman has settings of its own, which a service that others started does not have."""
    return bool(os.environ.get("CONTAINERS_STORAGE_CONF") or os.environ.get("CONTAINERS_CONF"))


def runtime_folder() -> str:
    """Return the folder of the user's sockets."""
    return os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"


def command_environ(more: Mapping[str, str]) -> dict[str, str]:
    """Return what a program of the user's is given: the user's own variables, and `more` that it does not have."""
    return {**more, **os.environ}


def egress_environ() -> dict[str, str]:
    """Return the variables by which clients of object stores find credentials and endpoints, with Pachyderm's own.

    Without keys in the environment, those of the user's `~/.aws` stand for them, as in Amazon's own programs.
    """
    begins, names = ("AWS_", "GOOGLE_", "AZURE_", "MINIO_"), ("CUSTOM_ENDPOINT", "DISABLE_SSL")
    found = {key: value for key, value in os.environ.items() if key.startswith(begins) or key in names}
    return found if "AWS_ACCESS_KEY_ID" in found else {**_aws_files(found), **found}


def _aws_files(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what the files of Amazon's programs say, as the variables that would say the same."""
    folder, profile = Path.home() / ".aws", environ.get("AWS_PROFILE", "default")
    parser = configparser.RawConfigParser()
    found: dict[str, str] = {}
    for variable, name, section in (
        ("AWS_CONFIG_FILE", "config", profile if profile == "default" else f"profile {profile}"),
        ("AWS_SHARED_CREDENTIALS_FILE", "credentials", profile),
    ):
        try:
            parser.read(environ.get(variable) or folder / name)
        except (configparser.Error, UnicodeDecodeError, OSError):
            continue  # not a file of theirs; who needs it is told that there are no credentials
        if parser.has_section(section):
            found |= dict(parser.items(section))
    known = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token", "region", "endpoint_url")
    return {f"AWS_{key.upper().removeprefix('AWS_')}": found[key] for key in known if key in found}
