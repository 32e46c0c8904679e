import sys

import pytest

from hack import test as layers
from hack.test import Run


def test_a_layer_that_there_is_not_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert layers.main(["unit", "integration"]) == 2
    assert "integration" in capsys.readouterr().err


def test_runs_of_one_stage_all_end_and_one_that_fails_keeps_the_next_stage_from_starting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def command(run: Run) -> list[str]:
        return [sys.executable, "-c", f"print('{run.arguments[0]} ran'); exit({run.arguments[1]})"]

    stages = (
        (Run("unit", ("first", "3")), Run("cluster", ("second", "0"))),
        (Run("e2e", ("third", "0")),),
    )
    monkeypatch.setattr(layers, "STAGES", stages)
    monkeypatch.setattr(layers, "_command", command)
    monkeypatch.setenv("CI", "true")
    assert layers.main([]) == 3
    said = capsys.readouterr().out
    assert "first ran" in said
    assert "unit: FAILED" in said
    assert "cluster: passed" in said
    assert "third" not in said
