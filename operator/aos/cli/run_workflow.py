"""``aos run workflow/NAME``: creates a run of a Workflow, and follows it to its end."""

import asyncio
import sys
from dataclasses import dataclass
from typing import Final

from aos.cli.connection import Connection
from aos.cli.exits import ExitCode, usage_error
from aos.cli.formats import ObjectFormat
from aos.cli.output import as_data
from aos.cli.run import check_there, create_named, duration_of, requester
from aos.cli.run_watch import finish, follow_run, view
from aos.cli.runs import run_data, run_reference
from aos.kube.client import ApiClient
from aos.kube.resources import WORKFLOW_RUNS, WORKFLOWS
from aos.model.base import JsonObject
from aos.model.meta import ObjectKey
from aos.model.names import API_VERSION
from aos.model.workflow_run import WORKFLOW_RUN_KIND, WorkflowRun

PREFIX: Final = "workflow/"


@dataclass(frozen=True, slots=True)
class WorkflowRequest:
    """What is asked.

    Attributes:
        workflow: name of the Workflow.
        run_input: the run's input.
        watch: whether to follow the run to its end.
        timeout: how long to follow it, as a duration; empty for as long as it takes.
        style: how to print the run for programs; None for the output alone.
    """

    workflow: str
    run_input: JsonObject
    watch: bool
    timeout: str = ""
    style: ObjectFormat | None = None


def request_of(
    name: str,
    run_input: JsonObject,
    deadline: str,
    timeout: str,
    style: ObjectFormat | None,
    *,
    watch: bool,
) -> WorkflowRequest | None:
    """Return what is asked of a Workflow; None where ``name`` is an Agent's.

    Raises:
        CommandError: it is neither's, or an option is not for Workflows.
    """
    if "/" not in name:
        return None
    workflow = name.removeprefix(PREFIX)
    if workflow == name or not workflow or "/" in workflow:
        raise usage_error(f"{name}: write the name of an Agent, or workflow/NAME")
    if deadline:
        raise usage_error("--deadline: a run has the timeout of its Workflow (spec.timeout)")
    return WorkflowRequest(workflow, run_input, watch, timeout, style)


async def run_workflow(connection: Connection, request: WorkflowRequest) -> ExitCode:
    """Create the run and follow it; its output is all that goes to standard output.

    Raises:
        CommandError: the request is malformed, the Workflow is not there, or the run did not end in time.
        ApiError: the API server refused the run.
    """
    seconds = duration_of(request.timeout, "--timeout") if request.timeout else None
    namespace = connection.resolved_namespace()
    async with connection.client() as client:
        workflow = ObjectKey(namespace=namespace, name=request.workflow)
        await check_there(client, WORKFLOWS, workflow, f"aos status -n {namespace}")
        run = await create_run(client, namespace, request)
        if not request.watch:
            print(as_created(run, request.style))
            return ExitCode.SUCCESS
        print(f"WorkflowRun {run.key} created", file=sys.stderr)
        try:
            with view() as shown:
                ended = await follow_run(client, run, shown, seconds)
        except asyncio.CancelledError:
            print(f"WorkflowRun {run.key} goes on; `{cancelling(run)}` cancels it", file=sys.stderr)
            raise
    return finish(ended, request.style)


def cancelling(run: WorkflowRun) -> str:
    """Return the command that cancels the run and undoes what was done."""
    patch = '{"spec":{"cancel":true}}'
    name, namespace = run.metadata.name, run.metadata.namespace
    return f"kubectl patch run {name} -n {namespace} --type merge -p '{patch}'"


async def create_run(client: ApiClient, namespace: str, request: WorkflowRequest) -> WorkflowRun:
    """Create the run, in the name of whom the API server takes the caller for, and return it.

    Raises:
        ApiError: the API server refused it.
    """
    by = await requester(client)
    raw = await create_named(
        client, WORKFLOW_RUNS, request.workflow, lambda name: manifest(namespace, name, by, request)
    )
    return WorkflowRun.parse(raw)


def manifest(namespace: str, name: str, requested_by: str, request: WorkflowRequest) -> JsonObject:
    """Return the run as it is to be created."""
    spec: JsonObject = {"workflowRef": {"name": request.workflow}, "input": request.run_input}
    if requested_by:
        spec["requestedBy"] = requested_by
    return {
        "apiVersion": API_VERSION,
        "kind": WORKFLOW_RUN_KIND.kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def as_created(run: WorkflowRun, style: ObjectFormat | None) -> str:
    """Return what is printed for a run that is not followed."""
    if style in {None, ObjectFormat.NAME}:
        return run_reference(run) if style else f"{run_reference(run)} created"
    return as_data(run_data(run), style)
