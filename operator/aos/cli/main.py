"""The commands and their options. What a command does is imported when it is called, so that help is quick."""

import contextlib
import io
import os
import shlex
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

import aos
from aos.cli import approval_commands, workflow_commands
from aos.cli.audit_commands import audit, diff_policy, records
from aos.cli.command_line import Command, Group
from aos.cli.connection import Connection
from aos.cli.execution import execute
from aos.cli.exits import ExitCode
from aos.cli.formats import DataFormat, ObjectFormat
from aos.cli.options import Kubeconfig, KubeContext, Namespace, connection_of

_PLUGIN: Final = "kubectl-aos"
DEFAULT_DEADLINE: Final = "10m"

app = typer.Typer(
    name="aos",
    cls=Group,
    help="Run AI agents on Kubernetes: each with an identity, a sandbox and exactly the tools its policies grant.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(audit, name="audit")
app.add_typer(records, name="records")
app.command("diff-policy", cls=Command)(diff_policy)
approval_commands.add_to(app)
workflow_commands.add_to(app)


def _print_version(*, wanted: bool) -> None:
    if wanted:
        print(f"aos {aos.__version__}")
        raise typer.Exit


@app.callback()
def _global_options(
    context: typer.Context,
    *,
    kubeconfig: Kubeconfig = None,
    kube_context: KubeContext = None,
    namespace: Namespace = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    del version
    context.obj = Connection(kubeconfig, kube_context, namespace)


@app.command("run", cls=Command)
def _run(  # noqa: PLR0913 - each option of a command is an argument
    context: typer.Context,
    *,
    agent: Annotated[
        str,
        typer.Argument(
            metavar="AGENT|workflow/NAME", help="Name of the Agent, or workflow/NAME.", show_default=False
        ),
    ],
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "-i",
            "--input",
            metavar="KEY=VALUE",
            help="One value of the input: JSON, else text; @FILE reads it.",
        ),
    ] = None,
    input_json: Annotated[
        str | None,
        typer.Option(
            "--input-json", metavar="JSON", help="The input as a JSON object; - reads it from stdin."
        ),
    ] = None,
    deadline: Annotated[
        str,
        typer.Option(
            metavar="DURATION",
            help="When a Task is ended, as in 90s or 1h; 10m. A Workflow has its own timeout.",
        ),
    ] = "",
    watch: Annotated[bool, typer.Option(help="Follow it to its end and print its output.")] = True,
    timeout: Annotated[
        str,
        typer.Option(
            metavar="DURATION",
            help="How long to follow it; else a Task's deadline and a minute, and a run to its end. Then exit with 124.",
        ),
    ] = "",
    output: Annotated[
        ObjectFormat | None, typer.Option("-o", "--output", help="Print the object instead of its output.")
    ] = None,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    kube_context: KubeContext = None,
) -> None:
    """Give an agent a Task, or start a run of a Workflow; follow it, and print its output.

    Exits with 0 if it succeeded, 1 if it failed, 3 if the API server refused it, 124 if it did not end in time.
    """
    connection = connection_of(context, Connection(kubeconfig, kube_context, namespace))

    async def work() -> ExitCode:
        from aos.cli.inputs import read_text, task_input
        from aos.cli.run import RunRequest, run
        from aos.cli.run_workflow import request_of, run_workflow

        given = task_input(inputs or (), input_json, read_text, sys.stdin.read)
        of_workflow = request_of(agent, given, deadline, timeout, output, watch=watch)
        if of_workflow is not None:
            return await run_workflow(connection, of_workflow)
        return await run(
            connection, RunRequest(agent, given, deadline or DEFAULT_DEADLINE, watch, timeout, output)
        )

    execute(work)


@app.command("why", cls=Command)
def _why(  # noqa: PLR0913 - each option of a command is an argument
    context: typer.Context,
    *,
    agent: Annotated[str, typer.Argument(metavar="AGENT", help="Name of the Agent.", show_default=False)],
    call: Annotated[str, typer.Argument(metavar="TOOL.ACTION", help="The call, as in crm.get_contact.")],
    args: Annotated[str, typer.Option(metavar="JSON", help="The call's arguments as a JSON object.")] = "",
    task: Annotated[
        str,
        typer.Option(metavar="NAME", help="Judge it as a call of this Task; else of one that you ask for."),
    ] = "",
    output: Annotated[
        DataFormat | None, typer.Option("-o", "--output", help="Print it for programs.")
    ] = None,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    kube_context: KubeContext = None,
) -> None:
    """Tell whether an agent may make a call, and which rule of which policy decides.

    Exits with 0 if it may, 1 if it may not, 5 if people are asked first. Nothing is called.
    """
    connection = connection_of(context, Connection(kubeconfig, kube_context, namespace))

    async def work() -> ExitCode:
        from aos.cli.why import WhyRequest, why

        return await why(connection, WhyRequest(agent, call, args, task, output))

    execute(work)


@app.command("status", cls=Command)
def _status(
    context: typer.Context,
    *,
    everywhere: Annotated[bool, typer.Option("--all-namespaces", "-A", help="Show every namespace.")] = False,
    output: Annotated[
        DataFormat | None, typer.Option("-o", "--output", help="Print it for programs.")
    ] = None,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    kube_context: KubeContext = None,
) -> None:
    """Show agents and all that they need, and whether AOS is well."""
    connection = connection_of(context, Connection(kubeconfig, kube_context, namespace))

    async def work() -> ExitCode:
        from aos.cli.status import status

        return await status(connection, everywhere=everywhere, style=output)

    execute(work)


@app.command("operator", cls=Command)
def _operator() -> None:
    """Run the operator; set up by its environment."""
    from aos.cli.servers import serve_operator

    raise typer.Exit(serve_operator())


@app.command("gateway", cls=Command)
def _gateway() -> None:
    """Run the gateway; set up by its environment."""
    from aos.cli.servers import serve_gateway

    raise typer.Exit(serve_gateway())


@app.command("agent", cls=Command)
def _agent() -> None:
    """Do the Task of an agent's pod; set up by its environment."""
    from aos.cli.servers import serve_agent

    raise typer.Exit(serve_agent())


@app.command("helper", cls=Command)
def _helper() -> None:
    """Stand beside an agent's own image, as its way out; set up by its environment."""
    from aos.cli.servers import serve_helper

    raise typer.Exit(serve_helper())


def main() -> None:
    """Run the command line; as a plugin of kubectl it goes by that name."""
    called = Path(sys.argv[0]).name
    app(prog_name="kubectl aos" if called == _PLUGIN else "aos")


def complete() -> None:
    """Complete a command line of ``kubectl aos``: kubectl gives its words, the last one perhaps unfinished."""
    words = sys.argv[1:] or [""]
    asked = {
        "_AOS_COMPLETE": "complete_bash",
        "COMP_WORDS": shlex.join(["aos", *words[:-1]]) + f" {words[-1]}",
        "COMP_CWORD": str(len(words)),
    }
    os.environ.update(asked)
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        app(prog_name="aos")
    # The last line tells kubectl's shell not to offer names of files.
    print(*said.getvalue().split(), ":4", sep="\n")
