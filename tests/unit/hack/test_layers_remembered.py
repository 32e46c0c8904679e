"""What ``hack.test`` leaves out because it passed before; programs stand for the runs, and a small repository for this one."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hack import test as layers
from hack.remembered import Memory
from hack.test import Run

PASSES = "<testsuite/>"
SKIPS = '<testsuite><testcase><skipped message="{}"/></testcase></testsuite>'
Repeat = Callable[..., int]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path / "repository"
    made.mkdir()
    (made / "file").write_text("as it was")
    subprocess.run(["git", "init", "--quiet"], cwd=made, check=True)
    monkeypatch.setattr(layers, "ROOT", made)
    return made


@pytest.fixture
def runs(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repeat:
    """Make tests of a layer twice, and return how often they ran; other text of theirs runs before they write their report."""
    ran = tmp_path / "ran"
    monkeypatch.setattr(layers, "MEMORY", Memory(tmp_path / "memory"))
    monkeypatch.setattr(layers, "_command", lambda run: [sys.executable, "-c", *run.arguments])
    monkeypatch.setattr(layers, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(layers, "_prepare", lambda names: None)
    monkeypatch.setenv("AOS_CLUSTER_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("PATH", str(Path(shutil.which("git") or "git").parent))
    for name in ("CI", "FRESH", "KUBECONFIG", "AOS_E2E_POSTGRES_URL"):
        monkeypatch.delenv(name, raising=False)

    def twice(
        text: str = "",
        report: str = PASSES,
        layer: str = "unit",
        between: Callable[[], object] = lambda: None,
    ) -> int:
        program = (
            f"import sys; from pathlib import Path; open({str(ran)!r}, 'a').write('x')\n"
            f"Path(sys.argv[-1].removeprefix('--junitxml=')).write_text({report!r})\n{text}"
        )
        run = Run("the tests", layer, (program,))
        monkeypatch.setattr(layers, "RUNS", (run,) if layer != "e2e" else ())
        monkeypatch.setattr(layers, "ON_THE_NODE", Run("the tests", "e2e", (program,)))
        layers.main([layer])
        between()
        layers.main([layer])
        return len(ran.read_text())

    return twice


@pytest.mark.parametrize("layer", layers.LAYERS)
def test_what_passed_is_not_run_again_and_that_is_said(
    runs: Repeat, capsys: pytest.CaptureFixture[str], layer: str
) -> None:
    assert runs(layer=layer) == 1
    said = capsys.readouterr().out
    assert "the tests: passed before with these very inputs (" in said
    assert "FRESH=1 runs it again" in said


def test_it_counts_as_passed(runs: Repeat) -> None:
    runs()
    assert layers.main(["unit"]) == 0


def test_an_edit_runs_it_again(runs: Repeat, root: Path) -> None:
    assert runs(between=lambda: (root / "file").write_text("as it is")) == 2


def test_what_failed_runs_again(runs: Repeat) -> None:
    assert runs("sys.exit(1)") == 2
    assert layers.main(["unit"]) == 1


def test_an_edit_while_it_runs_lets_it_run_again_even_where_it_was_taken_back(
    runs: Repeat, root: Path
) -> None:
    file = root / "file"
    assert runs("Path('file').write_text('as it is')", between=lambda: file.write_text("as it was")) == 2


def test_a_test_that_was_skipped_lets_it_run_again(runs: Repeat) -> None:
    assert runs(report=SKIPS.format("PostgreSQL can't run here")) == 2


def test_a_run_without_a_report_runs_again(runs: Repeat) -> None:
    assert runs("Path(sys.argv[-1].removeprefix('--junitxml=')).unlink()") == 2


def test_a_cluster_that_stood_before_does_not_let_it_run_again_as_long_as_it_stands(
    runs: Repeat, tmp_path: Path
) -> None:
    node = tmp_path / "state/node"
    node.mkdir(parents=True)
    skips = SKIPS.format(f"{layers.NOT_THEIRS} and is not theirs to break")
    assert runs(report=skips, layer="e2e") == 1
    assert runs(report=skips, layer="e2e", between=node.rmdir) == 2


def test_the_reason_to_spare_a_cluster_is_the_one_that_the_nodes_tests_give() -> None:
    life = Path(__file__).resolve().parents[2] / "e2e/test_node_life.py"
    assert f'"{layers.NOT_THEIRS} ' in life.read_text()


@pytest.mark.parametrize(("name", "value"), [("CI", "true"), ("FRESH", "1")])
def test_in_ci_and_where_a_person_asks_for_it_all_runs(
    runs: Repeat, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    assert runs() == 1
    monkeypatch.setenv(name, value)
    assert runs() == 3


def test_ci_leaves_nothing_that_is_remembered(
    runs: Repeat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    assert runs() == 2
    assert not (tmp_path / "memory").exists()


@pytest.mark.parametrize("name", ["KUBECONFIG", "AOS_E2E_POSTGRES_URL"])
def test_what_ran_on_somebody_elses_cluster_or_database_runs_again(
    runs: Repeat, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "/theirs")
    assert runs(layer="e2e") == 2
    assert runs(layer="unit") == 3


def test_where_nothing_can_be_written_it_passes_all_the_same(runs: Repeat, tmp_path: Path) -> None:
    (tmp_path / "memory").touch()
    assert runs() == 2
    assert layers.main(["unit"]) == 0
