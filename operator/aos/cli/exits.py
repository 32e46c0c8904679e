"""How a command ends: exit codes, and the error that carries one. Part of the interface; scripts rely on them."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every command; see ``docs/cli.md``."""

    SUCCESS = 0
    """Done; the Task succeeded; the call is allowed."""
    FAILURE = 1
    """The Task failed; the call is denied."""
    USAGE = 2
    """The command line is wrong."""
    REFUSED = 3
    """The API server refused the request."""
    UNREACHABLE = 4
    """No API server is configured, or none answered."""
    HELD = 5
    """The call waits for people."""
    TIMED_OUT = 124
    """What was waited for did not happen in time; it may still."""
    INTERRUPTED = 130
    """Ended by Ctrl-C."""


class CommandError(Exception):
    """What a person reads instead of a result: one sentence with the way out.

    Attributes:
        code: how the command ends.
    """

    def __init__(self, code: ExitCode, message: str) -> None:
        super().__init__(message)
        self.code = code


def usage_error(message: str) -> CommandError:
    """Return the error for a command line that is wrong."""
    return CommandError(ExitCode.USAGE, message)
