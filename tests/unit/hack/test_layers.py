import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hack import test as layers
from hack.cluster import session
from hack.cluster.errors import PrerequisiteError
from hack.postgres import programs
from hack.test import Run

Use = Callable[..., None]


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Use:
    """Let programs stand for the runs: each is given as its layer and its text."""

    def command(run: Run) -> list[str]:
        return [sys.executable, "-c", *run.arguments]

    def replaced(**programs: str) -> None:
        node = Run("e2e", "e2e", (programs.pop("e2e", ""),))
        runs = tuple(Run(layer, layer, (text,)) for layer, text in programs.items())
        monkeypatch.setattr(layers, "RUNS", runs)
        monkeypatch.setattr(layers, "ON_THE_NODE", node)
        monkeypatch.setattr(layers, "_command", command)
        monkeypatch.setattr(layers, "_LOOK_SECONDS", 0.01)
        monkeypatch.setattr(layers, "_prepare", lambda names: None)
        monkeypatch.setenv("CI", "true")

    return replaced


def test_a_layer_that_there_is_not_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert layers.main(["unit", "integration"]) == 2
    assert "integration" in capsys.readouterr().err


def test_all_runs_end_and_one_that_fails_fails_the_whole(use: Use, capfd: pytest.CaptureFixture[str]) -> None:
    use(unit="print('first ran'); exit(3)", cluster="print('second ran')", e2e="print('third ran')")
    assert layers.main([]) == 3
    said = capfd.readouterr().out
    assert "unit: FAILED" in said
    for line in ("first ran", "second ran", "third ran", "cluster: passed", "e2e: passed"):
        assert line in said


def test_only_the_named_layer_runs(use: Use, capfd: pytest.CaptureFixture[str]) -> None:
    use(unit="exit(3)", cluster="print('it ran')")
    assert layers.main(["cluster"]) == 0
    assert "it ran" in capfd.readouterr().out


def test_a_run_goes_on_while_another_has_not_ended(use: Use, tmp_path: Path) -> None:
    wait = "import pathlib,time\nwhile not pathlib.Path({!r}).exists(): time.sleep(0.01)"
    made = str(tmp_path / "made")
    use(cluster=wait.format(made), unit=f"open({made!r}, 'w')")
    assert layers.main([]) == 0


def test_the_node_comes_once_the_others_have_ended(use: Use, tmp_path: Path) -> None:
    made = str(tmp_path / "made")
    late = f"import time; time.sleep(0.3); open({made!r}, 'w')"
    use(e2e=f"import pathlib; exit(not pathlib.Path({made!r}).exists())", unit=late, cluster="")
    assert layers.main([]) == 0


def test_what_is_compiled_is_kept_even_where_python_is_told_not_to(
    use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    asked = "import sys; exit(sys.dont_write_bytecode)"
    use(unit=asked)
    assert layers.main([]) == 0
    use(unit=asked, cluster=asked)
    assert layers.main([]) == 0


def test_now_and_then_it_says_how_far_each_run_is(
    use: Use, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(layers, "_HEARTBEAT_SECONDS", 0.05)
    told = "import time; print({!r}, flush=True); time.sleep(1)"
    use(cluster=told.format("building etcd: 30 s so far"), unit=told.format("..... [ 12%]\n..... [ 34%]\n.."))
    assert layers.main([]) == 0
    said = capsys.readouterr().out
    assert "cluster (building etcd: 30 s so far, " in said
    assert "unit (34 %, " in said


def test_what_a_layer_needs_is_made_before_it_and_an_obstacle_is_left_to_its_tests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def ask(name: str) -> Callable[..., None]:
        def made(*_: object, **named: object) -> None:
            asked.append(" ".join([name, *(f"{key}={value}" for key, value in named.items())]))
            raise PrerequisiteError("there is none")

        return made

    monkeypatch.setenv("KUBECONFIG", "/theirs")
    monkeypatch.setattr(programs, "ensure", ask("postgres"))
    monkeypatch.setattr(session, "prepare", ask("cluster"))
    for layer in layers.LAYERS:
        layers._prepare({layer})
    assert asked == [
        "postgres",
        "cluster control_plane=True",
        "cluster control_plane=False kubeconfig=/theirs",
    ]


def test_an_interrupt_lets_all_runs_tear_down(tmp_path: Path) -> None:
    here = tmp_path / "here"
    program = f"""
import sys
from hack import test as layers
from hack.cluster import session
from hack.cluster.errors import PrerequisiteError
text = '''
import pathlib, time
try:
    pathlib.Path({str(here)!r} + '.begun').touch()
    time.sleep(60)
finally:
    pathlib.Path({str(here)!r}).touch()
'''
layers.RUNS = (layers.Run("unit", "unit", (text,)), layers.Run("cluster", "cluster", ("import time; time.sleep(60)",)))
layers._command = lambda run: [sys.executable, "-c", *run.arguments]
layers._prepare = lambda names: None
layers.main(["unit", "cluster"])
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=layers.ROOT, stderr=subprocess.DEVNULL
    ) as started:
        while not here.with_name("here.begun").exists():
            time.sleep(0.01)
        started.send_signal(signal.SIGINT)
        assert started.wait(30) != 0
    assert here.exists()
