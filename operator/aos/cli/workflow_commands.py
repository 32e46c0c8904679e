"""The commands about Workflows and their runs, and their options."""

from typing import Annotated

import typer

from aos.cli.command_line import Command
from aos.cli.connection import Connection
from aos.cli.execution import execute
from aos.cli.exits import ExitCode
from aos.cli.formats import GraphFormat, ListFormat
from aos.cli.options import Kubeconfig, KubeContext, Namespace, connection_of

Everywhere = Annotated[bool, typer.Option("--all-namespaces", "-A", help="Look at every namespace.")]


def runs(
    context: typer.Context,
    *,
    everywhere: Everywhere = False,
    open_only: Annotated[bool, typer.Option("--open", help="Leave out runs that have ended.")] = False,
    workflow: Annotated[
        str, typer.Option("--workflow", "-w", metavar="NAME", help="Show runs of this Workflow alone.")
    ] = "",
    output: Annotated[
        ListFormat | None, typer.Option("-o", "--output", help="Print it for programs; table is for people.")
    ] = None,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    kube_context: KubeContext = None,
) -> None:
    """Show the runs of Workflows, newest first.

    Of each how far it is, what it cost and whom it waits for.
    """
    connection = connection_of(context, Connection(kubeconfig, kube_context, namespace))

    async def work() -> ExitCode:
        from aos.cli.runs import RunsRequest
        from aos.cli.runs import runs as run

        return await run(connection, RunsRequest(everywhere, open_only, workflow, output))

    execute(work)


def graph(
    context: typer.Context,
    *,
    workflow: Annotated[
        str,
        typer.Argument(
            metavar="WORKFLOW",
            help="Name of the Workflow, or FILE.yaml that holds one; - reads it.",
            show_default=False,
        ),
    ],
    run: Annotated[
        str, typer.Option("--run", metavar="RUN", help="Draw where the steps of this run stand.")
    ] = "",
    output: Annotated[
        GraphFormat, typer.Option("-o", "--output", help="text for people, mermaid for documents.")
    ] = GraphFormat.TEXT,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    kube_context: KubeContext = None,
) -> None:
    """Draw the steps of a Workflow: what comes after what, and why."""
    connection = connection_of(context, Connection(kubeconfig, kube_context, namespace))

    async def work() -> ExitCode:
        from aos.cli.graph import graph as draw

        return await draw(connection, workflow, run, output)

    execute(work)


def add_to(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (runs, graph):
        app.command(command.__name__, cls=Command)(command)
