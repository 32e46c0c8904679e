import sys

import pytest
from rich.console import Console

from aos.cli.progress import LiveProgress, PlainProgress, progress


def test_without_a_terminal_each_thing_that_happens_is_one_plain_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with progress("Task sales/t1") as shown:
        assert type(shown) is PlainProgress
        shown.wait_for("the operator")
        shown.say("pod [p] made")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.endswith("s  pod [p] made\n")
    assert "\x1b" not in captured.err


def test_without_a_terminal_what_is_waited_for_is_said_once_in_a_while(
    capsys: pytest.CaptureFixture[str],
) -> None:
    now = 100.0
    shown = PlainProgress(lambda: now)
    for now in (101.0, 114.9, 115.0, 116.0, 129.9, 130.0):  # noqa: B007 - the clock reads it
        shown.wait_for("the operator has not looked at it yet")
    now = 500.0
    shown.wait_for("")
    said = "  ... the operator has not looked at it yet\n"
    assert capsys.readouterr().err == f"  15.0s{said}  30.0s{said}"


def test_on_a_terminal_what_is_waited_for_is_shown_as_it_is_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with progress("Task sales/t1") as shown:
        assert isinstance(shown, LiveProgress)
        shown.wait_for("[bold]not markup[/bold]")
        shown.say("pod made")
    with Console().status("x") as status:
        LiveProgress(status).wait_for("[bold]not markup[/bold]")
        assert str(status.status) == "[bold]not markup[/bold]"
    captured = capsys.readouterr()
    assert "pod made" in captured.out + captured.err
