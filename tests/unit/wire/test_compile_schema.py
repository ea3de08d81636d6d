"""The committed descriptor set is what `proto/` says."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from pachlet.wire import compile_schema


def test_committed_set_is_not_stale() -> None:
    compile_schema.main(["--check"])


def test_check_fails_for_a_stale_set_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proto = tmp_path / "proto"
    proto.mkdir()
    (proto / "one.proto").write_text('syntax = "proto3"; message One { string name = 1; }')
    monkeypatch.setattr(compile_schema, "PROTO", proto)
    monkeypatch.setattr(compile_schema, "BINPB", tmp_path / "set.binpb")
    with pytest.raises(SystemExit, match=r"set\.binpb is stale"):
        compile_schema.main(["--check"])
    assert not (tmp_path / "set.binpb").exists()
    compile_schema.main([])
    compile_schema.main(["--check"])
    (proto / "one.proto").write_text('syntax = "proto3"; message One { bytes name = 1; }')
    with pytest.raises(SystemExit, match=r"set\.binpb is stale"):
        compile_schema.main(["--check"])


def test_set_has_no_comments_and_imports_come_before_their_users(tmp_path: Path) -> None:
    (tmp_path / "a.proto").write_text('syntax = "proto3"; import "z.proto"; message A { Z z = 1; }')
    (tmp_path / "z.proto").write_text('syntax = "proto3"; /* told */ message Z {}')
    compiled = FileDescriptorSet.FromString(compile_schema.compile_schema(tmp_path))
    assert [file.name for file in compiled.file] == ["z.proto", "a.proto"]
    assert not any(file.HasField("source_code_info") for file in compiled.file)


def test_schema_that_does_not_compile_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "broken.proto").write_text('syntax = "proto3"; message One { Two two = 1; }')
    with pytest.raises(SystemExit, match="does not compile"):
        compile_schema.compile_schema(tmp_path)
    assert '"Two" is not defined' in capfd.readouterr().err
