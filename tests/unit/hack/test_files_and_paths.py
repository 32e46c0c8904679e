"""Where things are kept, and how they are written and locked."""

import threading
from pathlib import Path

import pytest

from hack.cluster.environment import inherited
from hack.cluster.files import exclusive, shared, write_atomically
from hack.cluster.paths import Paths
from hack.cluster.progress import duration, step


@pytest.mark.parametrize(
    ("environment", "state", "cache"),
    [
        ({"AOS_CLUSTER_HOME": "/a", "XDG_STATE_HOME": "/s", "XDG_CACHE_HOME": "/c"}, "/a", "/c/aos-cluster"),
        ({"XDG_STATE_HOME": "/s", "XDG_CACHE_HOME": "/c"}, "/s/aos-cluster", "/c/aos-cluster"),
    ],
)
def test_directories_come_from_the_environment(environment: dict[str, str], state: str, cache: str) -> None:
    paths = Paths.from_environment(environment)
    assert paths == Paths(state=Path(state), cache=Path(cache))


def test_without_any_setting_the_home_directory_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/jane")
    paths = Paths.from_environment({})
    assert paths.state == Path("/home/jane/.local/state/aos-cluster")
    assert paths.cache == Path("/home/jane/.cache/aos-cluster")


def test_an_argument_overrides_the_state_and_not_the_cache() -> None:
    paths = Paths.from_environment({"AOS_CLUSTER_HOME": "/a", "XDG_CACHE_HOME": "/c"}, state=Path("/mine"))
    assert paths.node == Path("/mine/node")
    assert paths.control_plane == Path("/mine/control-plane")
    assert paths.programs == Path("/c/aos-cluster/programs")


def test_an_images_name_is_a_file_name() -> None:
    paths = Paths(state=Path("/s"), cache=Path("/c"))
    assert paths.named_image("localhost/aos:dev") == Path("/c/images/named/localhost%2Faos%3Adev.tar")


def test_a_file_is_written_whole_and_with_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    write_atomically(path, "secret", mode=0o600)
    write_atomically(path, b"other", mode=0o600)
    assert path.read_text() == "other"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_a_lock_lets_one_in_at_a_time_and_says_that_it_waits(tmp_path: Path) -> None:
    waiting = threading.Event()
    entered = threading.Event()

    def enter() -> None:
        with exclusive(tmp_path / "lock", waiting.set):
            entered.set()

    other = threading.Thread(target=enter)
    with exclusive(tmp_path / "lock"):
        other.start()
        assert waiting.wait(10)
        assert not entered.is_set()
    other.join()
    assert entered.is_set()


def test_a_shared_hold_tells_whether_others_hold_too(tmp_path: Path) -> None:
    with shared(tmp_path / "lock") as first:
        with shared(tmp_path / "lock") as second:
            assert not second()
        assert first()


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.42, "0.4 s"), (12.3, "12 s"), (59.7, "1 min 00 s"), (472, "7 min 52 s")]
)
def test_spans_of_time_are_written_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_step_tells_its_start_and_its_end_and_a_failed_one_no_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with step("baking"):
        pass
    with pytest.raises(ValueError, match="burnt"), step("grilling"):
        raise ValueError("burnt")
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["baking …", "baking: 0.0 s", "grilling …"]


def test_programs_do_not_inherit_what_would_lead_them_elsewhere() -> None:
    outer = {
        "PATH": "/bin",
        "KUBECONFIG": "x",
        "https_proxy": "y",
        "KUBERNETES_SERVICE_HOST": "z",
        "LANG": "C",
    }
    assert inherited(outer) == {"PATH": "/bin", "LANG": "C"}
