from collections import Counter
from collections.abc import Iterator

import pytest

from tests.bench import fuzz


@pytest.mark.parametrize(("name", "inputs"), [("decision", 1_000), ("mcp", 4_000), ("redactor", 400)])
def test_no_input_of_the_fuzzers_breaks_a_rule(name: str, inputs: int) -> None:
    seen = Counter[str]()
    fuzz.feed(name, inputs, seed=2026, seen=seen)
    assert seen.total() == inputs
    assert len(seen) > 1


def test_an_input_that_breaks_a_rule_is_told_and_ends_the_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def breaking(seed: int) -> Iterator[str]:
        yield "well"
        raise ValueError(f"seed {seed}")

    monkeypatch.setitem(fuzz.FUZZERS, "mcp", breaking)
    with pytest.raises(SystemExit) as ended:
        fuzz.main(["--only", "mcp", "--inputs", "5", "--seed", "9"])
    assert ended.value.code == 1
    assert "seed 9, input 2" in capsys.readouterr().err


def test_the_fuzzers_run_one_after_the_other(capsys: pytest.CaptureFixture[str]) -> None:
    fuzz.main(["--inputs", "20"])
    said = capsys.readouterr().out
    assert all(f"{name}: 20 inputs" in said for name in fuzz.FUZZERS)
