"""The commands by which people decide what agents may do, and their options."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from aos.cli.command_line import Command
from aos.cli.completion import request_names
from aos.cli.connection import Connection
from aos.cli.execution import execute
from aos.cli.exits import ExitCode, usage_error
from aos.cli.formats import LineFormat, ListFormat, ObjectFormat
from aos.cli.options import Kubeconfig, KubeContext, Namespace, connection_of

if TYPE_CHECKING:
    from aos.cli.decide import Ask, AskWhy

Everywhere = Annotated[bool, typer.Option("--all-namespaces", "-A", help="Look at every namespace.")]
Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="The request, also as NAMESPACE/NAME.",
        autocompletion=request_names,
        show_default=False,
    ),
]
Names = Annotated[
    list[str],
    typer.Argument(
        metavar="NAME...",
        help="The requests, also as NAMESPACE/NAME.",
        autocompletion=request_names,
        show_default=False,
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not show it and ask; needed without a terminal.")]
Wait = Annotated[
    str, typer.Option("--wait", metavar="DURATION", help="How long to wait for it to be counted.")
]


def pending(
    context: typer.Context,
    *,
    everywhere: Everywhere = False,
    all_of_them: Annotated[
        bool, typer.Option("--all/--mine", help="Show those too that are for others to decide.")
    ] = False,
    output: Annotated[
        ListFormat | None, typer.Option("-o", "--output", help="Print it for programs; table is for people.")
    ] = None,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    kube_context: KubeContext = None,
) -> None:
    """Show what waits for you to decide, the most urgent first."""
    connection = connection_of(context, Connection(kubeconfig, kube_context, namespace))

    async def work() -> ExitCode:
        from aos.cli.pending import PendingRequest
        from aos.cli.pending import pending as run

        return await run(connection, PendingRequest(everywhere, all_of_them, output))

    execute(work)


def show(
    context: typer.Context,
    *,
    name: Name,
    output: Annotated[
        ObjectFormat | None, typer.Option("-o", "--output", help="Print the object for programs.")
    ] = None,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    kube_context: KubeContext = None,
) -> None:
    """Show all that a person needs to decide one request."""
    connection = connection_of(context, Connection(kubeconfig, kube_context, namespace))

    async def work() -> ExitCode:
        from aos.cli.pending import show as run

        return await run(connection, name, output)

    execute(work)


def approve(
    context: typer.Context,
    *,
    names: Names,
    comment: Annotated[
        str, typer.Option("-m", "--comment", metavar="TEXT", help="Why; kept with your decision.")
    ] = "",
    yes: Yes = False,
    wait: Wait = "5s",
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    kube_context: KubeContext = None,
) -> None:
    """Say yes to a call, or to a run at its gate.

    It is shown first, and you are asked. The call is then made once, exactly as shown, when enough people said yes.

    Exits with 0 if you approved all, 1 if one can't be decided any more or you said no, 3 if one is not yours to decide.
    """
    connection = connection_of(context, Connection(kubeconfig, kube_context, namespace))
    _decide(connection, "Approve", tuple(names), comment, wait, yes=yes)


def reject(
    context: typer.Context,
    *,
    names: Names,
    comment: Annotated[
        str,
        typer.Option(
            "-m", "--comment", metavar="TEXT", help="Why; the agent, or the run, is told. Else you are asked."
        ),
    ] = "",
    yes: Yes = False,
    wait: Wait = "5s",
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    kube_context: KubeContext = None,
) -> None:
    """Say no to a call, or to a run at its gate, for good.

    It is shown first, and you are asked. The agent, or the run, is told why.

    Exits with 0 if you rejected all, 1 if one can't be decided any more or you said no, 3 if one is not yours to decide.
    """
    connection = connection_of(context, Connection(kubeconfig, kube_context, namespace))
    _decide(connection, "Reject", tuple(names), comment, wait, yes=yes)


def watch(
    context: typer.Context,
    *,
    run: Annotated[
        str,
        typer.Argument(
            metavar="[RUN]", help="A run of a Workflow, to follow to its end instead.", show_default=False
        ),
    ] = "",
    everywhere: Everywhere = False,
    output: Annotated[
        LineFormat | None,
        typer.Option("-o", "--output", help="Print one JSON document a line; of a run, the run as it ended."),
    ] = None,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    kube_context: KubeContext = None,
) -> None:
    """Tell of what waits for you as it comes; or follow a run.

    Without a run it goes on until it is interrupted, and tells what becomes of each request, too.

    With a run it exits with 0 if that succeeded, and with 1 if it failed.
    """
    connection = connection_of(context, Connection(kubeconfig, kube_context, namespace))

    async def work() -> ExitCode:
        if run:
            from aos.cli.run_watch import watch_run

            if everywhere:
                raise usage_error("-A: a run stands in one namespace; name it with -n")
            return await watch_run(connection, run, ObjectFormat.JSON if output else None)
        from aos.cli.approval_watch import Watch, watch_requests

        return await watch_requests(connection, Watch(everywhere, output is not None))

    execute(work)


def add_to(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (pending, show, approve, reject, watch):
        app.command(command.__name__, cls=Command)(command)


def _decide(
    connection: Connection, verdict: str, names: tuple[str, ...], comment: str, wait: str, *, yes: bool
) -> None:
    async def work() -> ExitCode:
        from aos.cli.decide import Decide, decide
        from aos.model.approval_request import Verdict

        why = reasons(yes=yes) if verdict == Verdict.REJECT and not comment.strip() else None
        return await decide(
            connection,
            Decide(Verdict(verdict), names, comment.strip(), _ask(yes=yes), _seconds(wait), why),
        )

    execute(work)


def _ask(*, yes: bool) -> "Ask | None":
    if yes:
        return None
    if not sys.stdin.isatty():
        raise usage_error(
            "there is no terminal to ask at; look at it with `aos show`, then decide with --yes"
        )
    return typer.confirm


def reasons(*, yes: bool) -> "AskWhy":
    """Return how to ask for a reason, which a rejection must have.

    Raises:
        CommandError: there is nobody to ask.
    """
    if yes or not sys.stdin.isatty():
        raise usage_error("-m: say why; the agent, or the run, and whoever it works for are told")

    def ask() -> str:
        said = ""
        while not said.strip():
            said = typer.prompt("Why? The agent, or the run, and whoever it works for are told", type=str)
        return said.strip()

    return ask


def _seconds(wait: str) -> float:
    from aos.model.duration import duration_seconds

    try:
        return duration_seconds(wait)
    except ValueError as error:
        raise usage_error(f"--wait: {error}") from error
