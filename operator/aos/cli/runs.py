"""``aos runs``: the runs of Workflows, newest first."""

import sys
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import JsonValue, ValidationError

from aos.cli.connection import Connection
from aos.cli.exits import ExitCode
from aos.cli.formats import ListFormat
from aos.cli.namespaces import check_namespace
from aos.cli.output import Table, age, as_data, one_line
from aos.cli.pending import terminal_width
from aos.cli.run_tree import money, standing
from aos.kube.client import ApiClient, Selection
from aos.kube.objects import key_of
from aos.kube.resources import WORKFLOW_RUNS
from aos.model.names import GROUP
from aos.model.workflow_run import WorkflowRun


@dataclass(frozen=True, slots=True)
class RunsRequest:
    """What is asked.

    Attributes:
        everywhere: whether every namespace is meant.
        open_only: whether runs that have ended are left out.
        workflow: runs of this Workflow alone; empty for those of every one.
        style: None for a table.
    """

    everywhere: bool
    open_only: bool
    workflow: str
    style: ListFormat | None


async def runs(connection: Connection, request: RunsRequest) -> ExitCode:
    """Print the runs; SUCCESS if they could be read, even where there are none.

    Raises:
        CommandError: there is no such namespace.
        ApiError: they could not be read.
    """
    namespace = "" if request.everywhere else connection.resolved_namespace()
    unreadable: list[str] = []
    async with connection.client() as client:
        found = [item for item in await read_runs(client, namespace, unreadable) if _is_meant(item, request)]
        if not found:
            await check_namespace(client, namespace)
    found.sort(key=_newest_first)
    _print(found, datetime.now(UTC), request)
    if not found and request.style in {None, ListFormat.TABLE}:
        of = f" of Workflow {request.workflow}" if request.workflow else ""
        where = f"in namespace {namespace}" if namespace else "in any namespace"
        print(f"no{' open' if request.open_only else ''} runs{of} {where}", file=sys.stderr)
    for name in sorted(unreadable):
        print(f"{name} can't be read by this version of aos", file=sys.stderr)
    return ExitCode.SUCCESS


async def read_runs(client: ApiClient, namespace: str, unreadable: list[str]) -> list[WorkflowRun]:
    """Return the runs; names of those that this version can't read are added to ``unreadable``.

    Raises:
        ApiError: they could not be read.
    """
    found: list[WorkflowRun] = []
    async for raw in client.list(WORKFLOW_RUNS, Selection(namespace=namespace)):
        try:
            found.append(WorkflowRun.parse(raw))
        except ValidationError:
            unreadable.append(f"{WORKFLOW_RUNS.kind} {key_of(raw)}")
    return found


def run_reference(run: WorkflowRun) -> str:
    """Return the run as kubectl names objects with ``-o name``."""
    return f"workflowrun.{GROUP}/{run.metadata.name}"


def run_data(run: WorkflowRun) -> dict[str, JsonValue]:
    """Return the run for programs."""
    raw: dict[str, JsonValue] = run.model_dump(mode="json", by_alias=True, exclude_none=True)
    return raw


def runs_lines(found: list[WorkflowRun], now: datetime, width: int | None, *, everywhere: bool) -> list[str]:
    """Return the table of runs."""
    rows = [(*((item.metadata.namespace,) if everywhere else ()), *_row(item, now)) for item in found]
    headings = (
        *(("NAMESPACE",) if everywhere else ()),
        *("NAME", "WORKFLOW", "AGE", "STEPS", "COST", "WAITING FOR", "STATE"),
    )
    return Table(headings, tuple(rows)).render(width)


def _row(run: WorkflowRun, now: datetime) -> tuple[str, ...]:
    status = run.status
    created = run.metadata.creation_timestamp
    return (
        run.metadata.name,
        run.spec.workflow_ref.name,
        age(created, now) if created else "",
        status.progress,
        money(status.usage.cost_micro_usd) if status.usage and status.usage.cost_micro_usd else "",
        "" if run.ended else ", ".join(status.waiting_for),
        one_line(standing(run)),
    )


def _is_meant(run: WorkflowRun, request: RunsRequest) -> bool:
    of_workflow = not request.workflow or run.spec.workflow_ref.name == request.workflow
    return of_workflow and not (request.open_only and run.ended)


def _newest_first(run: WorkflowRun) -> tuple[float, str, str]:
    created = run.metadata.creation_timestamp
    return (-created.timestamp() if created else 0.0, run.metadata.namespace, run.metadata.name)


def _print(found: list[WorkflowRun], now: datetime, request: RunsRequest) -> None:
    match request.style:
        case ListFormat.JSON | ListFormat.YAML:
            print(as_data({"runs": [run_data(item) for item in found]}, request.style))
        case ListFormat.NAME:
            for item in found:
                print(str(item.key) if request.everywhere else run_reference(item))
        case _ if found:
            print("\n".join(runs_lines(found, now, terminal_width(), everywhere=request.everywhere)))
