"""What the commands of approvers ask at a terminal, and what they want without one."""

import io

import pytest
from typer.testing import CliRunner

from aos.cli.approval_commands import reasons
from aos.cli.exits import CommandError, ExitCode
from aos.cli.main import app


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_at_a_terminal_a_rejection_asks_why_until_something_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal("\n  \n not agreed \n"))
    assert reasons(yes=False)() == "not agreed"
    assert capsys.readouterr().out.count("Why? The agent, or the run, ") == 3


@pytest.mark.parametrize(("stdin", "yes"), [(Terminal(), True), (io.StringIO(), False)])
def test_where_nobody_is_asked_the_reason_must_be_given(
    monkeypatch: pytest.MonkeyPatch,
    stdin: io.StringIO,
    yes: bool,  # noqa: FBT001 - a case of the table
) -> None:
    monkeypatch.setattr("sys.stdin", stdin)
    with pytest.raises(CommandError, match="-m: say why") as caught:
        reasons(yes=yes)
    assert caught.value.code is ExitCode.USAGE


def test_a_rejection_without_a_reason_and_a_terminal_says_what_is_missing() -> None:
    done = CliRunner().invoke(app, ["reject", "apr-1", "--yes", "-n", "sales"], prog_name="aos")
    assert done.exit_code == ExitCode.USAGE
    assert done.stderr == "error: -m: say why; the agent, or the run, and whoever it works for are told\n"
