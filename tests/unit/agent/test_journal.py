import io
import json
from pathlib import Path

import pytest

from aos.agent.journal import Journal, Level, leave_termination_message


def test_a_line_is_one_json_object_without_what_is_none() -> None:
    stream = io.StringIO()
    Journal(stream).write(
        "tool denied", Level.WARNING, tool="crm.export_contacts", reason=None, milliseconds=3
    )
    [line] = stream.getvalue().splitlines()
    written = json.loads(line)
    assert written.pop("time").endswith("+00:00")
    assert written == {
        "level": "warning",
        "event": "tool denied",
        "tool": "crm.export_contacts",
        "milliseconds": 3,
    }


def test_a_value_with_line_breaks_stays_on_its_line() -> None:
    stream = io.StringIO()
    Journal(stream).write("gave up", message="one\ntwo\u2028three")
    assert json.loads(stream.getvalue())["message"] == "one two three"


def test_it_writes_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    Journal().write("task received")
    assert json.loads(capsys.readouterr().out)["event"] == "task received"


def test_the_last_words_are_cut_to_what_the_kubelet_keeps(tmp_path: Path) -> None:
    leave_termination_message(tmp_path / "log", "ü" * 5000)
    assert len((tmp_path / "log").read_bytes()) == 4096


def test_nowhere_to_leave_last_words_is_no_error(tmp_path: Path) -> None:
    leave_termination_message(tmp_path / "missing" / "log", "words")
