"""Whose process is it: only a recorded one, on this boot, with the recorded start, is ever ended."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hack.cluster.process import Identity, Stat, Table, children, end, identify, is_alive, parse_stat

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)",
]


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(SLEEP)
    yield process
    process.kill()
    process.wait()


def test_a_name_with_spaces_and_parentheses_does_not_confuse_the_fields() -> None:
    fields = " ".join(str(number) for number in range(4, 53))
    assert parse_stat(f"42 (a (odd) name) S {fields}") == Stat(state="S", parent=4, start_ticks=22)


def test_a_living_process_is_known_by_its_number_start_and_boot(sleeper: subprocess.Popen[bytes]) -> None:
    identity = identify(sleeper.pid)
    assert identity is not None
    assert is_alive(identity)


@pytest.mark.parametrize("change", [{"start_ticks": 1}, {"boot_id": "another boot"}])
def test_a_process_that_got_the_number_of_ours_is_not_ended(
    sleeper: subprocess.Popen[bytes], change: dict[str, object]
) -> None:
    identity = identify(sleeper.pid)
    assert identity is not None
    stale = replace(identity, **change)  # type: ignore[arg-type]  # the table's rows differ in type
    assert not is_alive(stale)
    end(stale)
    assert sleeper.poll() is None


def test_a_process_that_never_was_is_no_error() -> None:
    end(Identity(pid=2**22 + 1, start_ticks=1, boot_id="x"), grace_seconds=1)


def test_a_zombie_is_not_alive() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    deadline = time.monotonic() + 10
    while identify(process.pid) is not None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert identify(process.pid) is None
    process.wait()


def test_a_process_that_ignores_the_request_is_ended_by_force(tmp_path: Path) -> None:
    table = Table(tmp_path / "processes.json")
    log = tmp_path / "log"
    identity = table.start("stubborn", STUBBORN, log, os.environ, tmp_path)
    while not log.read_text():
        time.sleep(0.01)
    end(identity, grace_seconds=0.1)
    assert not is_alive(identity)
    assert not Path(f"/proc/{identity.pid}").exists()


def test_a_started_program_is_recorded_logged_and_in_a_session_of_its_own(tmp_path: Path) -> None:
    table = Table(tmp_path / "processes.json")
    identity = table.start("sleeper", SLEEP, tmp_path / "log", os.environ, tmp_path)
    assert table.read() == {"sleeper": identity}
    assert table.alive() == {"sleeper": identity}
    assert os.getsid(identity.pid) == identity.pid
    assert identity in children(os.getpid())
    table.end_all()
    assert table.read() == {}
    assert not is_alive(identity)


def test_a_program_that_ends_at_once_is_recorded_as_gone(tmp_path: Path) -> None:
    table = Table(tmp_path / "processes.json")
    table.start("short", [sys.executable, "-c", ""], tmp_path / "log", os.environ, tmp_path)
    deadline = time.monotonic() + 10
    while table.alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert table.alive() == {}


@pytest.mark.parametrize("content", ["", "{", None])
def test_a_missing_or_torn_table_is_an_empty_one(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "processes.json"
    if content is not None:
        path.write_text(content)
    assert Table(path).read() == {}
