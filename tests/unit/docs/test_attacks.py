"""The attacks that SECURITY.md numbers, and the tests that carry their numbers, are the same."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
LISTED = {
    int(number)
    for number in re.findall(
        r"^\| (\d+) \|", (ROOT / "SECURITY.md").read_text(encoding="utf-8"), re.MULTILINE
    )
}
TESTED = {
    int(number)
    for file in (ROOT / "tests").rglob("test_*.py")
    for number in re.findall(
        r"^ *(?:async )?def test_attack_(\d+)_", file.read_text(encoding="utf-8"), re.MULTILINE
    )
}


def test_every_attack_that_must_fail_has_a_test_of_its_number() -> None:
    assert sorted(LISTED - TESTED) == []
    assert sorted(LISTED) == list(range(1, 33))


def test_every_number_of_a_test_is_that_of_an_attack() -> None:
    assert sorted(TESTED - LISTED) == []
