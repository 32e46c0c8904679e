import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hack import remembered
from hack.remembered import Memory, all_ran, key

BESIDES = "a cluster stood"


def test_a_key_tells_inputs_and_commands_apart() -> None:
    keys = {key("a", ["x"]), key("b", ["x"]), key("a", ["y"]), key("a", ["x", "y"]), key("a", ["x y"])}
    assert len(keys) == 5
    assert key("a", ["x"]) == key("a", ["x"])


def test_what_passed_is_found_again_by_its_key_alone(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "not/yet/there")
    assert memory.recall("k") is None
    memory.keep("k", "unit", 12.5)
    passed = memory.recall("k")
    assert passed is not None
    assert (passed.name, passed.seconds) == ("unit", 12.5)
    assert datetime.now(UTC) - datetime.fromisoformat(passed.at) < timedelta(minutes=5)
    assert memory.recall("another") is None
    assert len(list((tmp_path / "not/yet/there").iterdir())) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"name": "unit", "seconds": 1.0}',
        '{"name": "unit", "at": "yesterday", "seconds": 1.0}',
        '{"name": "unit", "at": "2026-01-01T00:00:00", "seconds": 1.0}',
        json.dumps({"name": "unit", "at": "2026-01-01T00:00:00+00:00", "seconds": "long"}),
    ],
)
def test_a_record_that_cannot_be_read_counts_as_absent(tmp_path: Path, text: str) -> None:
    (tmp_path / "k.json").write_text(text)
    assert Memory(tmp_path).recall("k") is None


@pytest.mark.parametrize(
    ("age", "counts"), [(timedelta(days=6), True), (timedelta(days=8), False), (timedelta(days=-1), False)]
)
def test_a_record_counts_for_a_week(tmp_path: Path, age: timedelta, *, counts: bool) -> None:
    at = (datetime.now(UTC) - age).isoformat()
    (tmp_path / "k.json").write_text(f'{{"name": "unit", "at": "{at}", "seconds": 1.0}}')
    assert (Memory(tmp_path).recall("k") is not None) is counts


def test_the_oldest_records_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "MAX_RECORDS", 2)
    memory = Memory(tmp_path)
    for place, name in enumerate(("first", "second", "third")):
        memory.keep(name, name, 1)
        os.utime(tmp_path / f"{name}.json", (place, place))
    memory.keep("fourth", "fourth", 1)
    assert {path.stem for path in tmp_path.iterdir()} == {"third", "fourth"}


@pytest.mark.parametrize(
    ("inside", "ran"),
    [
        ("", True),
        ('<testcase><skipped message="no PostgreSQL"/></testcase>', False),
        ('<testcase><skipped message="a cluster stood before"/></testcase>', True),
        ('<testcase><skipped message="a cluster stood"/><skipped/></testcase>', False),
    ],
)
def test_a_test_that_was_skipped_did_not_run(tmp_path: Path, inside: str, *, ran: bool) -> None:
    report = tmp_path / "report.xml"
    report.write_text(f"<testsuites><testsuite>{inside}</testsuite></testsuites>")
    assert all_ran(report, BESIDES) is ran


def test_without_a_report_nobody_knows_what_ran(tmp_path: Path) -> None:
    assert not all_ran(tmp_path / "none.xml", BESIDES)
    (tmp_path / "half.xml").write_text("<testsuites><testsuite>")
    assert not all_ran(tmp_path / "half.xml", BESIDES)
