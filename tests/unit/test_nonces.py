"""A proof counts once, for who can read what only the server's user can, on the server's machine."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from pachlet.api.nonces import Nonces
from pachlet.errors import FailedPrecondition, Refused
from pachlet.place import describe_place, prove

HERE = "ipv4:127.0.0.1:4711"
ADDRESS = "127.0.0.1:30650"
LOCAL = [HERE, "ipv6:%5B::1%5D:4711", "ipv6:[::1]:4711", "ipv6:[::ffff:127.0.0.1]:1", "unix:/run/x", "unix:"]
ELSEWHERE = [
    "ipv4:10.0.0.1:4711",
    "ipv4:128.127.0.1:1",
    "ipv6:[fe80::1]:1",
    "ipv6:[::ffff:10.0.0.1]:1",
    "",
    "x",
]


@pytest.fixture
def nonces(tmp_path: Path) -> Nonces:
    made = Nonces(tmp_path / "nonces")
    made.address = ADDRESS
    return made


def proof(id: str, path: Path) -> str:
    return f"{id}:{prove(id, path.read_bytes(), ADDRESS)}"


@pytest.mark.parametrize("peer", LOCAL)
def test_who_can_read_the_nonce_is_believed_once(nonces: Nonces, peer: str) -> None:
    id, path = nonces.issue(peer)
    shown = proof(id, path)
    with nonces.redeem(shown, peer) as transfer:
        assert transfer is nonces.find(id)
        assert not transfer.ended.is_set()
    assert transfer.ended.is_set()
    assert not path.exists()
    with pytest.raises(Refused, match="only for its own user"):
        nonces.redeem(shown, peer)


def test_nonce_is_for_the_server_s_user_alone(nonces: Nonces) -> None:
    _, path = nonces.issue(HERE)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert path.stat().st_uid == os.geteuid()


@pytest.mark.parametrize("peer", ELSEWHERE)
def test_callers_from_elsewhere_are_refused(nonces: Nonces, peer: str) -> None:
    with pytest.raises(FailedPrecondition, match="on the server's machine"):
        nonces.issue(peer)
    id, path = nonces.issue(HERE)
    with pytest.raises(Refused):
        nonces.redeem(proof(id, path), peer)


def test_forged_proofs_are_refused_and_spend_the_challenge(nonces: Nonces) -> None:
    id, path = nonces.issue(HERE)
    good = proof(id, path)
    other, _ = nonces.issue(HERE)
    for forged in (
        "",
        ":",
        id,
        f"{id}:",
        f"{id}:{'0' * 64}",
        f"{id}:é",
        f"{other}:{good.partition(':')[2]}",
        "x:y",
    ):
        with pytest.raises(Refused):
            nonces.redeem(forged, HERE)
    with pytest.raises(Refused):
        nonces.redeem(good, HERE)
    assert list(path.parent.iterdir()) == []


def test_challenges_do_not_pile_up(nonces: Nonces) -> None:
    first, path = nonces.issue(HERE)
    shown, waiting = proof(first, path), nonces.find(first)
    for _ in range(100):
        nonces.issue(HERE)
    assert len(list(path.parent.iterdir())) == 64
    assert waiting is not None
    assert waiting.ended.is_set()
    assert nonces.find(first) is None
    with pytest.raises(Refused):
        nonces.redeem(shown, HERE)


def test_a_proof_for_another_address_is_none(nonces: Nonces) -> None:
    """A program in between that hands a challenge on has a client prove for that program's own address."""
    id, path = nonces.issue(HERE)
    shown = f"{id}:{prove(id, path.read_bytes(), '127.0.0.1:30810')}"
    with pytest.raises(Refused):
        nonces.redeem(shown, HERE)


def test_no_challenge_where_modes_are_not_kept(
    nonces: Nonces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fchmod", lambda handle, mode: os.chmod(handle, 0o644))
    with pytest.raises(FailedPrecondition, match="does not keep files private"):
        nonces.issue(HERE)
    assert list((tmp_path / "nonces").iterdir()) == []


def test_nonces_of_an_earlier_server_are_gone(nonces: Nonces, tmp_path: Path) -> None:
    id, path = nonces.issue(HERE)
    shown = proof(id, path)
    with pytest.raises(Refused):
        Nonces(tmp_path / "nonces").redeem(shown, HERE)
    assert not path.exists()


def test_place_is_the_same_for_one_process_and_differs_by_user(monkeypatch: pytest.MonkeyPatch) -> None:
    here = describe_place()
    assert describe_place() == here
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert describe_place() != here
