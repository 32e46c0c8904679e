"""Help is in plain words, and what is wrong with a command line is one line."""

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from aos.cli.command_line import ORDER, Group
from aos.cli.main import app


def invoke(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, list(arguments), prog_name="aos")
    return done.exit_code, done.stdout, done.stderr


def test_every_command_has_its_place_in_the_help() -> None:
    assert set(getattr(get_command(app), "commands", {})) == set(ORDER)


def test_commands_for_people_stand_before_the_parts_of_aos() -> None:
    _, out, _ = invoke("--help")
    listed = [line.split()[0] for line in out.partition("Commands:\n")[2].splitlines() if line[2:3].strip()]
    assert listed == list(ORDER)


@pytest.mark.parametrize(
    ("command", "usage"),
    [
        (("run",), "aos run [OPTIONS] AGENT|workflow/NAME"),
        (("approve",), "aos approve [OPTIONS] NAME..."),
        (("watch",), "aos watch [OPTIONS] [RUN]"),
        (("diff-policy",), "aos diff-policy [OPTIONS] FILE..."),
        (("audit", "hold", "add"), "aos audit hold add [OPTIONS] NAME"),
    ],
)
def test_arguments_are_shown_by_their_names_and_without_types(command: tuple[str, ...], usage: str) -> None:
    _, out, _ = invoke(*command, "--help")
    assert out.splitlines()[0] == f"Usage: {usage}"
    assert not any(word in out for word in ("<str>", "<path>", "<list", "<int", "<float"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("bogus",), "error: no such command 'bogus'; `aos --help` tells how\n"),
        (("why", "x"), "error: missing argument 'TOOL.ACTION'; `aos why --help` tells how\n"),
        (
            ("run", "x", "-o", "table"),
            (
                "error: invalid value for '-o' / '--output': 'table' is not one of 'json', 'yaml', 'name';"
                " `aos run --help` tells how\n"
            ),
        ),
    ],
)
def test_a_wrong_command_line_is_told_in_one_line_with_the_way_out(
    arguments: tuple[str, ...], said: str
) -> None:
    assert invoke(*arguments) == (2, "", said)


@pytest.mark.parametrize("arguments", [(), ("audit", "hold")])
def test_who_asks_for_nothing_is_shown_the_help(arguments: tuple[str, ...]) -> None:
    code, out, err = invoke(*arguments)
    assert (code, err) == (2, "")
    assert out.startswith("Usage: aos")


def test_a_question_that_nobody_answers_ends_with_one_line_and_no_traceback() -> None:
    asking = typer.Typer(cls=Group, rich_markup_mode=None)

    @asking.command()
    def ask() -> None:
        typer.confirm("Approve?", err=True)

    @asking.command()
    def other() -> None:
        """Make it a group."""

    done = CliRunner().invoke(asking, ["ask"], input="", prog_name="aos")
    assert done.exit_code == 1
    assert done.stderr.endswith("error: no answer was given\n")
