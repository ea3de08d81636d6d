"""Compile `proto/` into the committed descriptor set: `python -m pachlet.wire.compile_schema [--check]`.

A command for people who change the schema, not part of the server: it needs grpcio-tools, a development
dependency. The result holds no comments, no source positions and no options for other languages, so the same
files give the same bytes everywhere; `--check` fails if the committed set is not what `proto/` says.

Read next: pachlet/wire/schema.py.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet

PROTO = Path(__file__).with_name("proto")
BINPB = Path(__file__).with_name("pachyderm.binpb")


def compile_schema(proto: Path) -> bytes:
    """The descriptor set of every `.proto` file under a folder, and of what they import."""
    sources = sorted(path.relative_to(proto).as_posix() for path in proto.rglob("*.proto"))
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "set.binpb"
        # As a process: the compiler prints its complaints to stderr, file and line first.
        command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{proto}", "--include_imports"]
        if subprocess.run([*command, f"--descriptor_set_out={out}", *sources], check=False).returncode != 0:
            raise SystemExit(f"the schema in {proto} does not compile")
        compiled = FileDescriptorSet.FromString(out.read_bytes())
    for file in compiled.file:
        # The well-known types carry options for other languages, which differ between compilers' releases.
        file.ClearField("options")
    return compiled.SerializeToString(deterministic=True)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m pachlet.wire.compile_schema", description="Compile proto/ into pachyderm.binpb."
    )
    parser.add_argument(
        "--check", action="store_true", help="change nothing; fail if pachyderm.binpb is stale"
    )
    check = parser.parse_args(arguments).check
    fresh = compile_schema(PROTO)
    if not check:
        BINPB.write_bytes(fresh)
    elif not BINPB.exists() or BINPB.read_bytes() != fresh:
        raise SystemExit(
            f"{BINPB.name} is stale: run python -m pachlet.wire.compile_schema and commit the result"
        )


if __name__ == "__main__":
    main()
