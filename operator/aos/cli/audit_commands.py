"""The commands about the audit trail and about records, and their options."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from aos.cli.command_line import Command, Group
from aos.cli.connection import Connection
from aos.cli.execution import execute
from aos.cli.exits import ExitCode
from aos.cli.formats import ExportFormat
from aos.cli.options import Kubeconfig, KubeContext, Namespace, Output

if TYPE_CHECKING:
    from aos.cli.audit_source import AuditPlace

AOS_NAMESPACE: Final = "aos-system"

Everywhere = Annotated[bool, typer.Option("--all-namespaces", "-A", help="Read every namespace.")]
EveryHold = Annotated[
    bool, typer.Option("--all-namespaces", "-A", help="The hold is on the rows of every namespace.")
]
AosNamespace = Annotated[
    str,
    typer.Option(
        "--aos-namespace",
        metavar="NAME",
        envvar="AOS_NAMESPACE",
        help=f"Namespace that AOS runs in; else {AOS_NAMESPACE}.",
    ),
]
Account = Annotated[
    str,
    typer.Option(
        "--service-account",
        metavar="[NAMESPACE/]NAME",
        envvar="AOS_AUDIT_SERVICE_ACCOUNT",
        help="Whose token to read with; else aos-auditor of AOS's own namespace.",
    ),
]
Agent = Annotated[str, typer.Option(metavar="NAME", help="Only rows of this Agent.")]
Task = Annotated[str, typer.Option(metavar="NAME", help="Only rows of this Task; its uid will do.")]
Tool = Annotated[str, typer.Option(metavar="NAME[.ACTION]", help="Only calls of this Tool, Model or Agent.")]
Record = Annotated[str, typer.Option(metavar="TEXT", help="Only calls that write this record.")]
Person = Annotated[
    str, typer.Option(metavar="USER", help="Only what this user asked for, approved or rejected.")
]
Effect = Annotated[str, typer.Option(metavar="allow|deny|hold", help="Only calls that were decided so.")]
Since = Annotated[
    str, typer.Option(metavar="TIME", help="Rows at or after it: RFC 3339, or 90m or 24h for that long ago.")
]
Until = Annotated[str, typer.Option(metavar="TIME", help="Rows before it; written as for --since.")]

audit = typer.Typer(
    cls=Group, help="Show, trace, verify and export the audit trail.", invoke_without_command=True
)
hold = typer.Typer(cls=Group, help="Keep rows from retention: legal holds.", no_args_is_help=True)
records = typer.Typer(
    cls=Group, help="See which Task holds which record, and free one.", invoke_without_command=True
)
audit.add_typer(hold, name="hold")


@dataclass(frozen=True, slots=True)
class Reader:
    """Where to read and as whom, as the options say.

    Attributes:
        connection: the cluster.
        everywhere: whether every namespace is meant.
        aos_namespace: that AOS runs in; empty for the usual one.
        account: whose token; empty for the chart's own.
    """

    connection: Connection
    everywhere: bool
    aos_namespace: str
    account: str

    @property
    def place(self) -> "AuditPlace":
        """Where to read."""
        from aos.cli.audit_source import AuditPlace

        namespace = "" if self.everywhere else self.connection.resolved_namespace()
        return AuditPlace(self.aos_namespace or AOS_NAMESPACE, namespace, self.account)


def _reader(context: typer.Context, own: Reader) -> Reader:
    """Return the options given before the command, with those after it in their place."""
    above = context.obj
    if isinstance(above, Connection):
        return Reader(above.overridden_by(own.connection), own.everywhere, own.aos_namespace, own.account)
    if not isinstance(above, Reader):
        return own
    return Reader(
        above.connection.overridden_by(own.connection),
        own.everywhere or (above.everywhere and own.connection.namespace is None),
        own.aos_namespace or above.aos_namespace,
        own.account or above.account,
    )


@audit.callback()
def _audit(  # noqa: PLR0913 - each option of a command is an argument
    context: typer.Context,
    *,
    agent: Agent = "",
    task: Task = "",
    tool: Tool = "",
    record: Record = "",
    person: Person = "",
    effect: Effect = "",
    since: Since = "",
    until: Until = "",
    limit: Annotated[int, typer.Option(metavar="ROWS", min=1, max=50_000, help="Most rows.")] = 1000,
    everywhere: Everywhere = False,
    service_account: Account = "",
    aos_namespace: AosNamespace = "",
    output: Output = None,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    kube_context: KubeContext = None,
) -> None:
    """Show rows of the audit trail, oldest first: who did what with what, and which rule decided."""
    own = Connection(kubeconfig, kube_context, namespace)
    reader = context.obj = _reader(context, Reader(own, everywhere, aos_namespace, service_account))
    if context.invoked_subcommand is not None:
        return

    async def work() -> ExitCode:
        from aos.cli.audit import AuditRequest, list_rows

        request = AuditRequest(agent, task, tool, record, person, effect, since, until, limit)
        return await list_rows(reader.connection, reader.place, request, output)

    execute(work)


@audit.command("trace", cls=Command)
def _trace(
    context: typer.Context,
    *,
    task: Annotated[str, typer.Argument(metavar="TASK", help="Name or uid of the Task.", show_default=False)],
    service_account: Account = "",
    aos_namespace: AosNamespace = "",
    output: Output = None,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    kube_context: KubeContext = None,
) -> None:
    """Draw the whole story of a Task.

    Its calls, decisions, cost and outcome, and the Tasks that it handed over.
    """
    own = Connection(kubeconfig, kube_context, namespace)
    reader = _reader(
        context, Reader(own, everywhere=False, aos_namespace=aos_namespace, account=service_account)
    )

    async def work() -> ExitCode:
        from aos.cli.audit_trace import trace

        return await trace(reader.connection, reader.place, task, output)

    execute(work)


@audit.command("show", cls=Command)
def _show(  # noqa: PLR0913 - each option of a command is an argument
    context: typer.Context,
    *,
    row: Annotated[str, typer.Argument(metavar="CHAIN/SEQUENCE", help="The row.", show_default=False)],
    everywhere: Everywhere = False,
    service_account: Account = "",
    aos_namespace: AosNamespace = "",
    output: Output = None,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    kube_context: KubeContext = None,
) -> None:
    """Show one row, with all that was in force.

    That is the exact prompt, policy and image.
    """
    own = Connection(kubeconfig, kube_context, namespace)
    reader = _reader(context, Reader(own, everywhere, aos_namespace, service_account))

    async def work() -> ExitCode:
        from aos.cli.audit_show import show

        return await show(reader.connection, reader.place, row, output)

    execute(work)


@audit.command("verify", cls=Command)
def _verify(
    context: typer.Context,
    *,
    anchors: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Check against this copy of the anchors too; may be repeated."),
    ] = None,
    service_account: Account = "",
    aos_namespace: AosNamespace = "",
    output: Output = None,
    kubeconfig: Kubeconfig = None,
    kube_context: KubeContext = None,
) -> None:
    """Check the whole trail, and name what is wrong.

    That is every row, link, head and anchor, of all namespaces.

    Exits with 0 if the trail holds, 1 if it does not. It says as well what the proof does not cover.
    """
    own = Connection(kubeconfig, kube_context, None)
    reader = _reader(
        context, Reader(own, everywhere=True, aos_namespace=aos_namespace, account=service_account)
    )

    async def work() -> ExitCode:
        from aos.cli.audit_verify import verify

        return await verify(reader.connection, reader.place, output, anchors or ())

    execute(work)


@audit.command("export", cls=Command)
def _export(  # noqa: PLR0913 - each option of a command is an argument
    context: typer.Context,
    *,
    style: Annotated[
        ExportFormat, typer.Option("--format", help="One document a line.")
    ] = ExportFormat.JSONL,
    agent: Agent = "",
    task: Task = "",
    tool: Tool = "",
    record: Record = "",
    person: Person = "",
    effect: Effect = "",
    since: Since = "",
    until: Until = "",
    limit: Annotated[int, typer.Option(metavar="ROWS", min=1, max=50_000, help="Most rows.")] = 50_000,
    everywhere: Everywhere = False,
    service_account: Account = "",
    aos_namespace: AosNamespace = "",
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    kube_context: KubeContext = None,
) -> None:
    """Print rows for other systems.

    As JSON Lines, OCSF API Activity, or CloudEvents.

    Exits with 1 if there are more rows than one answer holds.
    """
    own = Connection(kubeconfig, kube_context, namespace)
    reader = _reader(context, Reader(own, everywhere, aos_namespace, service_account))

    async def work() -> ExitCode:
        from aos.cli.audit import AuditRequest, export

        request = AuditRequest(agent, task, tool, record, person, effect, since, until, limit)
        return await export(reader.connection, reader.place, request, style)

    execute(work)


@hold.command("add", cls=Command)
def _hold_add(  # noqa: PLR0913 - each option of a command is an argument
    context: typer.Context,
    *,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the hold.", show_default=False)],
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="Why; it is kept with the hold.", show_default=False)
    ],
    everywhere: EveryHold = False,
    service_account: Account = "",
    aos_namespace: AosNamespace = "",
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    kube_context: KubeContext = None,
) -> None:
    """Keep the rows of a namespace, or of all, whatever their age."""
    own = Connection(kubeconfig, kube_context, namespace)
    reader = _reader(context, Reader(own, everywhere, aos_namespace, service_account))

    async def work() -> ExitCode:
        from aos.cli.audit_hold import add

        return await add(reader.connection, reader.place, name, reason)

    execute(work)


@hold.command("list", cls=Command)
def _hold_list(
    context: typer.Context,
    *,
    everywhere: Everywhere = False,
    service_account: Account = "",
    aos_namespace: AosNamespace = "",
    output: Output = None,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    kube_context: KubeContext = None,
) -> None:
    """Show the legal holds of a namespace, or all."""
    own = Connection(kubeconfig, kube_context, namespace)
    reader = _reader(context, Reader(own, everywhere, aos_namespace, service_account))

    async def work() -> ExitCode:
        from aos.cli.audit_hold import list_holds

        return await list_holds(reader.connection, reader.place, output)

    execute(work)


@hold.command("release", cls=Command)
def _hold_release(
    context: typer.Context,
    *,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the hold.", show_default=False)],
    everywhere: EveryHold = False,
    service_account: Account = "",
    aos_namespace: AosNamespace = "",
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    kube_context: KubeContext = None,
) -> None:
    """Let retention delete the rows again."""
    own = Connection(kubeconfig, kube_context, namespace)
    reader = _reader(context, Reader(own, everywhere, aos_namespace, service_account))

    async def work() -> ExitCode:
        from aos.cli.audit_hold import release

        return await release(reader.connection, reader.place, name)

    execute(work)


@records.callback()
def _records(
    context: typer.Context,
    *,
    everywhere: Everywhere = False,
    service_account: Account = "",
    aos_namespace: AosNamespace = "",
    output: Output = None,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    kube_context: KubeContext = None,
) -> None:
    """Show which Task holds which record, and until when."""
    own = Connection(kubeconfig, kube_context, namespace)
    reader = context.obj = _reader(context, Reader(own, everywhere, aos_namespace, service_account))
    if context.invoked_subcommand is not None:
        return

    async def work() -> ExitCode:
        from aos.cli.records import list_records

        return await list_records(reader.connection, reader.place, output)

    execute(work)


@records.command("free", cls=Command)
def _free(
    context: typer.Context,
    *,
    record: Annotated[
        str,
        typer.Argument(metavar="RECORD", help="The record, as `aos records` shows it.", show_default=False),
    ],
    service_account: Account = "",
    aos_namespace: AosNamespace = "",
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    kube_context: KubeContext = None,
) -> None:
    """Take a record from the Task that holds it.

    Others may write it then; who did so is on record.
    """
    own = Connection(kubeconfig, kube_context, namespace)
    reader = _reader(
        context, Reader(own, everywhere=False, aos_namespace=aos_namespace, account=service_account)
    )

    async def work() -> ExitCode:
        from aos.cli.records import free

        return await free(reader.connection, reader.place, record)

    execute(work)


def diff_policy(  # noqa: PLR0913 - each option of a command is an argument
    context: typer.Context,
    *,
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Manifests; - for stdin.", show_default=False)
    ],
    hours: Annotated[
        float, typer.Option(metavar="NUMBER", min=0.01, max=8760, help="How far back calls are judged.")
    ] = 24,
    service_account: Account = "",
    aos_namespace: AosNamespace = "",
    output: Output = None,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    kube_context: KubeContext = None,
) -> None:
    """Tell what a policy would change, before it is applied.

    These are the recorded calls that it would decide otherwise.

    Exits with 0 if none, 1 if any. Nothing is applied.
    """
    own = Connection(kubeconfig, kube_context, namespace)
    reader = _reader(
        context, Reader(own, everywhere=False, aos_namespace=aos_namespace, account=service_account)
    )

    async def work() -> ExitCode:
        from aos.cli.diff_policy import DiffRequest
        from aos.cli.diff_policy import diff_policy as diff

        return await diff(reader.connection, reader.place, DiffRequest(files, hours, output))

    execute(work)
