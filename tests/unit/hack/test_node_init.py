"""The node's first process: programs wait for their markers, run, and start again when they end."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hack.cluster import node_init
from hack.cluster.kubectl import wait_until

DRIVER = """
import sys
from pathlib import Path
from hack.cluster.node_init import Init, Program
state = Path(sys.argv[1])
count = ["sh", "-c", f"echo run >> {state}/count; exec sleep ${{SECONDS_TO_SLEEP}}"]
Init(state, "node1", [
    Program("counter", tuple(count), ("go",), {"SECONDS_TO_SLEEP": sys.argv[2]}),
    Program("waiter", ("touch", f"{state}/waited"), ("go", "never"), {}),
]).run()
"""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    for folder in ("markers", "log"):
        (tmp_path / folder).mkdir()
    return tmp_path


@pytest.fixture
def running(state: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        process.kill()
        process.wait()


def start(state: Path, sleep: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", DRIVER, str(state), sleep], stdout=subprocess.DEVNULL)


def runs(state: Path) -> int:
    return len((state / "count").read_text().splitlines()) if (state / "count").exists() else 0


def test_a_program_starts_when_its_marker_is_there_and_not_before(
    state: Path, running: list[subprocess.Popen[bytes]]
) -> None:
    running.append(start(state, "60"))
    time.sleep(0.5)
    assert runs(state) == 0
    (state / "markers" / "go").touch()
    assert wait_until(lambda: runs(state) == 1, 5)
    assert not (state / "waited").exists()


def test_a_program_that_ends_starts_again_ever_more_slowly(
    state: Path, running: list[subprocess.Popen[bytes]]
) -> None:
    (state / "markers" / "go").touch()
    running.append(start(state, "0"))
    assert wait_until(lambda: runs(state) >= 3, 10)
    time.sleep(0.5)
    assert runs(state) <= 5


def test_orphans_are_reaped(state: Path, running: list[subprocess.Popen[bytes]]) -> None:
    (state / "markers" / "go").touch()
    process = start(state, "0")
    running.append(process)
    assert wait_until(lambda: runs(state) >= 2, 10)
    zombies = [
        entry
        for entry in Path("/proc").glob("[0-9]*/stat")
        if (text := _read(entry)) and f" Z {process.pid} " in text
    ]
    assert len(zombies) <= 1


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def test_it_needs_nothing_but_the_standard_library(tmp_path: Path) -> None:
    spec = tmp_path / "init.json"
    spec.write_text("{}")
    # In isolated mode nothing of this repository can be imported; an empty specification is the first thing to fail.
    done = subprocess.run(
        [sys.executable, "-I", node_init.__file__, str(spec)], capture_output=True, text=True, check=False
    )
    assert "KeyError" in done.stderr
    assert "ModuleNotFoundError" not in done.stderr


def test_a_command_that_fails_ends_it_with_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        node_init._run(sys.executable, "-c", "import sys; sys.exit('no such device')")
    assert "no such device" in capsys.readouterr().out


def test_the_network_waits_for_the_interface(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[tuple[str, ...]] = []
    monkeypatch.setattr(node_init, "_run", lambda *command: commands.append(command))
    monkeypatch.setattr(Path, "write_text", lambda *_: 1)
    (state / "markers" / "network").touch()
    node_init.Init(state, "node1", []).connect("network", [["link", "set", "lo", "up"]])
    assert commands == [("ip", "link", "set", "lo", "up")]
