"""Runs a command's coroutine and turns every expected failure into one sentence and an exit code."""

import asyncio
import logging
import re
import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING

import typer

from aos.cli.exits import CommandError, ExitCode

if TYPE_CHECKING:
    from aos.kube.errors import ApiError

Work = Callable[[], Coroutine[None, None, ExitCode]]


def execute(work: Work) -> None:
    """Run ``work`` to its end and leave with its exit code.

    Raises:
        typer.Exit: always; it carries the code.
    """
    # Informers log what they recover from; a person who waits reads only what the command says.
    logging.getLogger("aos").addHandler(logging.NullHandler())
    try:
        code = asyncio.run(_reported(work))
    except KeyboardInterrupt:
        code = ExitCode.INTERRUPTED
    raise typer.Exit(int(code))


async def _reported(work: Work) -> ExitCode:
    from aos.kube.credentials import CredentialsError
    from aos.kube.errors import ApiError

    try:
        return await work()
    except CommandError as error:
        return _fail(error.code, str(error))
    except CredentialsError as error:
        return _fail(ExitCode.UNREACHABLE, f"{error}; name one with --kubeconfig and --context")
    except ApiError as error:
        return _fail(*explained(error))


def explained(error: "ApiError") -> tuple[ExitCode, str]:
    """Return the exit code for an answer of the API server, and a sentence with the way out."""
    from aos.kube.errors import Forbidden, NotFound, QuotaExceeded, Unauthorized, Unavailable
    from aos.model.names import GROUP

    match error:
        case Unavailable():
            return ExitCode.UNREACHABLE, f"{error}; check that the cluster is up and that --context names it"
        case Unauthorized():
            return ExitCode.REFUSED, f"{error}; renew the credentials of your kubeconfig"
        case QuotaExceeded():
            return ExitCode.REFUSED, f"{error}; wait for room, or ask the namespace's owner for more"
        case Forbidden() if "cannot" in error.message:
            # The API server's words say where the right is missing; the target's key does so only for some verbs.
            place = re.search(r'in the namespace "([^"]+)"', error.message)
            where = f"-n {place[1]}" if place else "-A"
            asked = f"kubectl auth can-i {error.target.verb} {error.target.what} {where}"
            return ExitCode.REFUSED, f"{error}; ask an administrator for that right (`{asked}` tells)"
        case NotFound() if "page not found" in error.message:
            return (
                ExitCode.REFUSED,
                f"the API server knows no {error.target.what} of {GROUP}; install AOS first (charts/aos)",
            )
    return ExitCode.REFUSED, str(error)


def _fail(code: ExitCode, message: str) -> ExitCode:
    from aos.cli.output import one_line

    # What other programs and files say may have several lines.
    print(f"error: {one_line(message)}", file=sys.stderr)
    return code
