"""Each command of ``aos`` that a page gives is one that it takes."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.exceptions import TyperException
from typer.main import get_command

from aos.cli.main import app

ROOT = Path(__file__).resolve().parents[3]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/**/*.md")]
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`((?:kubectl )?aos [^`]+)`")
CALL = re.compile(r"^(?:\$ )?(?:xargs )?(?:kubectl aos|\.venv/bin/aos|aos) (.*)$")

TOP = get_command(app)
ASKING = {"--help", "--version", "--install-completion"}
"""Options that are answered while a command line is read."""


def commands_of(page: Path) -> Iterator[str]:
    """Yield what follows the program's name, of each command on the page."""
    text = page.read_text(encoding="utf-8")
    lines = [line for block in BLOCK.findall(text) for line in block.replace("\\\n", " ").splitlines()]
    for line in [*lines, *INLINE.findall(text)]:
        for part in re.split(r"\s\|\s|\s&&\s|;\s", line.replace("\\|", "/")):
            if found := CALL.match(part.strip()):
                yield found[1]


def problem_of(line: str) -> str:
    """Return what is wrong with a command line; empty if it could be run, or lacks only what a person fills in."""
    args = [word for word in shlex.split(line, comments=True) if word not in ASKING]
    command = TOP
    try:
        while isinstance(command, TyperGroup):
            context = command.make_context("aos", [], resilient_parsing=True)
            context.resilient_parsing = False
            _, args, _ = command.make_parser(context).parse_args(args)
            if not args or args[0].isupper():
                return ""
            _, found, args = command.resolve_command(context, args)
            if found is None:
                return "there is no such command"
            command = found
        command.make_context(command.name, args)
    except TyperException as error:
        return "" if type(error).__name__ == "MissingParameter" else error.format_message()
    return ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_of_a_page_is_one_that_aos_takes(page: Path) -> None:
    found = {line: problem_of(line) for line in commands_of(page)}
    assert {line: problem for line, problem in found.items() if problem} == {}


def test_what_aos_does_not_take_would_be_found() -> None:
    assert problem_of("why enricher crm.get_contact -n sales") == ""
    assert problem_of("approve -n sales --yes") == ""
    assert problem_of("bogus") != ""
    assert problem_of("why enricher crm.get_contact --loud") != ""
    assert problem_of("status -o xml") != ""
    assert problem_of("audit --loud") != ""
    assert problem_of("audit hold lend") != ""
    assert sum(len(list(commands_of(page))) for page in PAGES) > 50
