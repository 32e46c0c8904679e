"""A test session gives a cluster back as it found it."""

from pathlib import Path

import pytest

from hack.cluster import session
from hack.cluster.errors import NotReadyError, PrerequisiteError
from hack.cluster.handle import Handle, Status

HANDLE = Handle(Path("/kubeconfig"), Path("/kubectl"))


class Recorded:
    """A cluster that writes down what is done to it."""

    def __init__(self, *, made: bool, failure: Exception | None = None) -> None:
        self.made = made
        self.failure = failure
        self.done: list[str] = []

    def prepare(self) -> None:
        self.done.append("prepare")
        if self.failure is not None:
            raise self.failure

    def up(self) -> None:
        self.done.append("up")
        if self.failure is not None:
            raise self.failure

    def down(self) -> None:
        self.done.append("down")

    def status(self) -> Status:
        return Status(made=self.made, is_up=self.made, sentence="")

    def load(self, archive: Path) -> None:
        self.done.append(f"load {archive}")

    def handle(self) -> Handle:
        return HANDLE


def lend(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cluster: Recorded) -> Recorded:
    monkeypatch.setenv("AOS_CLUSTER_HOME", str(tmp_path))
    monkeypatch.setattr("hack.cluster.backends.select", lambda *_, **__: cluster)
    return cluster


@pytest.mark.parametrize(("made", "expected"), [(False, ["up", "down"]), (True, ["up"])])
def test_a_cluster_that_was_there_stays_and_a_new_one_is_ended(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, expected: list[str], *, made: bool
) -> None:
    cluster = lend(monkeypatch, tmp_path, Recorded(made=made))
    with session.borrowed() as handle:
        assert handle is HANDLE
    assert cluster.done == expected


def test_a_cluster_that_did_not_come_up_is_cleared_away(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cluster = lend(monkeypatch, tmp_path, Recorded(made=False, failure=NotReadyError("x")))
    with pytest.raises(NotReadyError), session.borrowed():
        pytest.fail("there is no cluster")
    assert cluster.done == ["up", "down"]


def test_a_cluster_that_another_session_uses_is_not_ended(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = lend(monkeypatch, tmp_path, Recorded(made=False))
    one = session.borrowed()
    one.__enter__()
    second = lend(monkeypatch, tmp_path, Recorded(made=True))
    with session.borrowed():
        one.__exit__(None, None, None)
        assert first.done == ["up"]
    assert second.done == ["up"]


def test_what_stands_in_the_way_is_left_for_up_to_say(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cluster = lend(monkeypatch, tmp_path, Recorded(made=False, failure=PrerequisiteError("no root")))
    session.prepare(control_plane=False)
    assert cluster.done == ["prepare"]


def test_the_last_process_of_a_session_ends_the_cluster_that_another_one_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = lend(monkeypatch, tmp_path, Recorded(made=False))
    one = session.borrowed(made=tmp_path / "made")
    one.__enter__()
    second = lend(monkeypatch, tmp_path, Recorded(made=True))
    with session.borrowed(made=tmp_path / "made"):
        one.__exit__(None, None, None)
        assert first.done == ["up"]
    assert second.done == ["up", "down"]
