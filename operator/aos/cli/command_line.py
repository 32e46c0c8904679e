"""How commands show their help and say what is wrong with a command line: in the words of the rest of the program."""

import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from typer.core import TyperCommand, TyperGroup
from typer.exceptions import Abort, TyperException

from aos.cli.exits import ExitCode

if TYPE_CHECKING:
    from typer._click import Context, HelpFormatter

_BRACED: Final = re.compile(r"^\{(?P<name>.*?)(\.\.\.)?\}(?P<many>\.\.\.)?$")
_TYPE: Final = re.compile(r" <[^>]*>$")
ORDER: Final = (
    *("status", "run", "runs", "graph", "watch"),
    *("pending", "show", "approve", "reject"),
    *("why", "diff-policy", "audit", "records"),
    *("operator", "gateway", "agent", "helper"),
)
"""Commands as help lists them: what a person starts with first, the parts of AOS last."""


class Command(TyperCommand):
    """A command whose arguments are shown by their names alone."""

    def collect_usage_pieces(self, ctx: "Context") -> list[str]:
        """Return the parts of the first line of help."""
        return [_plain(piece) for piece in super().collect_usage_pieces(ctx)]

    def format_options(self, ctx: "Context", formatter: "HelpFormatter") -> None:
        """Write arguments and options."""
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for item in self.get_params(ctx):
            record = item.get_help_record(ctx)
            if record is not None and item.param_type_name == "argument":
                sections["Arguments"].append((_TYPE.sub("", record[0]), record[1]))
            elif record is not None:
                sections["Options"].append(record)
        for title, rows in sections.items():
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


class Group(TyperGroup):
    """Commands in an order of their own; what is wrong with a command line is one line, as every error."""

    def list_commands(self, ctx: "Context") -> list[str]:
        """Return the names of the commands."""
        names = super().list_commands(ctx)
        return sorted(names, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: FBT001, FBT002 - as it is overridden
        windows_expand_args: bool = True,  # noqa: FBT001, FBT002 - as it is overridden
        **extra: object,
    ) -> object:
        """Run a command line; leave with its exit code unless told to return it."""
        try:
            code = super().main(
                args,
                prog_name,
                complete_var,
                standalone_mode=False,
                windows_expand_args=windows_expand_args,
                **extra,
            )
        except TyperException as error:
            if not standalone_mode:
                raise
            sys.exit(_told(error))
        except Abort:
            if not standalone_mode:
                raise
            print("error: no answer was given", file=sys.stderr)
            sys.exit(ExitCode.FAILURE)
        if not standalone_mode:
            return code
        sys.exit(code if isinstance(code, int) else ExitCode.SUCCESS)


def _told(error: TyperException) -> int:
    """Say what is wrong with the command line, and return the exit code."""
    said = error.format_message().replace("Value error, ", "").rstrip(".")
    if said.startswith("Usage:"):
        # Nothing was asked for; the message is the help.
        print(said)
        return error.exit_code
    command = getattr(getattr(error, "ctx", None), "command_path", "aos")
    print(f"error: {said[:1].lower()}{said[1:]}; `{command} --help` tells how", file=sys.stderr)
    return error.exit_code


def _plain(piece: str) -> str:
    """Return an argument as it is usually written: ``NAME`` for ``{NAME}``, ``[RUN]`` for ``[[RUN]]``."""
    braced = _BRACED.match(piece)
    if braced:
        return braced["name"] + (braced["many"] or "")
    return piece[1:-1] if piece.startswith("[[") else piece
