"""What pachlet.step does around a step's run(inputs, out)."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pachlet.step import BadInput, decode_env, encode_error, main
from pachlet.wire import schema


@pytest.fixture
def pfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "out").mkdir()
    monkeypatch.setenv("PFS_ROOT", str(tmp_path))
    monkeypatch.delenv("PPS_WORKER_GRPC_PORT", raising=False)
    return tmp_path


@pytest.mark.parametrize("batching", [False, True])
def test_a_step_is_given_its_folders(pfs, batching):
    main(lambda inputs, out: (out / "x").write_text(inputs.name), batching=batching)
    assert (pfs / "out" / "x").read_text() == pfs.name


def test_bad_input_is_a_sentence_and_exit_status_one(pfs, capsys):
    def run(inputs: Path, out: Path) -> None:
        raise BadInput("row 3 has no date")

    with pytest.raises(SystemExit) as ended:
        main(run)
    assert ended.value.code == 1
    assert capsys.readouterr().err == "row 3 has no date\n"


def test_a_bug_is_a_traceback_and_exit_status_one(pfs, capsys):
    def run(inputs: Path, out: Path) -> None:
        raise KeyError("x")

    with pytest.raises(SystemExit) as ended:
        main(run)
    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith("Traceback")


@given(st.text())
def test_the_request_is_encoded_as_protobuf_does(error):
    request = schema.message("pachyderm.worker.NextDatumRequest").FromString(encode_error(error))
    assert request.error == error


@given(st.lists(st.text()))
def test_the_response_is_decoded_as_protobuf_does(env):
    response = schema.message("pachyderm.worker.NextDatumResponse")(env=env)
    assert decode_env(response.SerializeToString()) == env


def test_a_response_with_an_unknown_field_is_no_environment():
    with pytest.raises(ValueError, match="unexpected tag"):
        decode_env(b"\x10\x01")
