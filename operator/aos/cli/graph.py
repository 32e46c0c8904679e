"""``aos graph``: the steps of a Workflow as text, or as a Mermaid flowchart."""

import sys
from collections.abc import Sequence
from typing import Final

import yaml
from pydantic import JsonValue, ValidationError

from aos.cli.connection import Connection
from aos.cli.exits import CommandError, ExitCode, usage_error
from aos.cli.formats import GraphFormat
from aos.cli.inputs import read_text
from aos.cli.namespaces import check_namespace
from aos.cli.run_watch import read_run
from aos.inspection.visible import visible
from aos.kube.client import ApiClient
from aos.kube.errors import Forbidden, NotFound
from aos.kube.objects import child
from aos.kube.resources import CONTROLLER_REVISIONS, WORKFLOWS
from aos.model.meta import ObjectKey
from aos.model.workflow import WORKFLOW_KIND, Workflow, WorkflowSpec
from aos.model.workflow_run import StepStatus, WorkflowRun
from aos.workflow.drawing import levels, mermaid
from aos.workflow.problem import WorkflowError

_FILES: Final = (".yaml", ".yml", ".json")
FROM_STDIN: Final = "-"


async def graph(connection: Connection, name: str, run: str, style: GraphFormat) -> ExitCode:
    """Print the drawing.

    Args:
        connection: where the Workflow is.
        name: of the Workflow, or of a file that holds one; ``-`` for standard input.
        run: one of its runs, whose states are drawn too; empty for none.
        style: how it is drawn.

    Raises:
        CommandError: it is not there, can't be read, or its steps make no graph.
        ApiError: it may not be read.
    """
    statuses: Sequence[StepStatus] = ()
    if name == FROM_STDIN or name.endswith(_FILES):
        if run:
            raise usage_error("--run: a file has no runs; name the Workflow")
        spec = workflow_in(sys.stdin.read() if name == FROM_STDIN else read_text(name), name)
    else:
        namespace = connection.resolved_namespace()
        async with connection.client() as client:
            found = await read_run(client, ObjectKey(namespace=namespace, name=run)) if run else None
            if found is not None and found.spec.workflow_ref.name != name:
                raise usage_error(f"--run: {run} is a run of Workflow {found.spec.workflow_ref.name}")
            spec = await _spec_of(client, namespace, name, found)
            statuses = found.status.steps if found is not None else ()
    print(drawn(spec, statuses, style))
    return ExitCode.SUCCESS


def drawn(spec: WorkflowSpec, statuses: Sequence[StepStatus], style: GraphFormat) -> str:
    """Return the drawing.

    Raises:
        CommandError: the steps make no graph.
    """
    try:
        if style is GraphFormat.MERMAID:
            return visible(mermaid(spec, statuses).rstrip("\n"), keep="\n")
        return "\n".join(visible(line) for line in levels(spec, statuses))
    except WorkflowError as error:
        raise CommandError(ExitCode.FAILURE, f"the steps make no graph: {error}") from error


def workflow_in(text: str, name: str) -> WorkflowSpec:
    """Return the one Workflow that the text of a file holds.

    Raises:
        CommandError: it holds none, or several, or it is not valid.
    """
    try:
        documents = list(yaml.safe_load_all(text))
    except yaml.YAMLError as error:
        raise usage_error(f"{name}: not YAML: {' '.join(str(error).split())}") from error
    found = [item for item in documents if isinstance(item, dict) and item.get("kind") == WORKFLOW_KIND.kind]
    if len(found) != 1:
        raise usage_error(f"{name} holds {len(found)} Workflows; give a file with one")
    return _parsed(found[0], name)


def _parsed(raw: dict[str, JsonValue], name: str) -> WorkflowSpec:
    try:
        return Workflow.parse(raw).spec
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}"
            for item in error.errors(include_url=False)
        )
        raise usage_error(f"{name}: {problems}") from error


async def _spec_of(client: ApiClient, namespace: str, name: str, run: WorkflowRun | None) -> WorkflowSpec:
    """Return what the run runs, as far as it may be read; else what the Workflow is now."""
    if run is not None and run.status.revision:
        try:
            raw = await client.get(CONTROLLER_REVISIONS, run.status.revision, namespace)
            return WorkflowSpec.model_validate(child(child(raw, "data"), "spec"))
        except (Forbidden, NotFound, ValidationError):
            pass
    try:
        return _parsed(await client.get(WORKFLOWS, name, namespace), name)
    except NotFound as error:
        if "page not found" in error.message:
            raise
        await check_namespace(client, namespace)
        raise CommandError(
            ExitCode.REFUSED,
            f"there is no Workflow {name} in namespace {namespace}; `aos status -n {namespace}` shows what there is,"
            " and a file is named with its ending (.yaml)",
        ) from error
