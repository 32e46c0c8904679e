import socket

import pytest

from hack import ports


def test_a_port_that_is_taken_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    taken, free = ports.free_port(), ports.free_port()
    assert ports.LOWEST <= taken <= ports.HIGHEST
    lot = iter([taken, free])
    monkeypatch.setattr("random.SystemRandom.randint", lambda *_: next(lot))
    with socket.socket() as one:
        one.bind((ports.LOOPBACK, taken))
        one.listen()
        assert ports.free_port() == free


def test_where_all_are_taken_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = ports.free_port()
    monkeypatch.setattr("random.SystemRandom.randint", lambda *_: taken)
    with socket.socket() as one:
        one.bind((ports.LOOPBACK, taken))
        one.listen()
        with pytest.raises(OSError, match="no free port"):
            ports.free_port()
