"""``aos status``: what runs in a namespace or everywhere, and how AOS itself is."""

import asyncio
import shutil
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from pydantic import ValidationError

from aos.cli.approvals import is_open, read_requests, urgency
from aos.cli.connection import Connection
from aos.cli.exits import ExitCode
from aos.cli.formats import DataFormat
from aos.cli.namespaces import check_namespace
from aos.cli.output import as_data
from aos.cli.overview import DEPLOYMENTS, Component, Inventory, data, report
from aos.kube.client import ApiClient, Selection
from aos.kube.errors import Forbidden
from aos.kube.objects import key_of
from aos.kube.resources import (
    AGENTS,
    CLUSTER_POLICIES,
    MODELS,
    POLICIES,
    TASKS,
    TOOLS,
    WORKFLOWS,
    Resource,
)
from aos.model.agent import Agent
from aos.model.approval_request import ApprovalRequest
from aos.model.base import JsonObject
from aos.model.cluster_policy import ClusterPolicy
from aos.model.model import Model
from aos.model.names import LABEL_PART_OF, MANAGED_BY
from aos.model.policy import Policy
from aos.model.task import Task
from aos.model.tool import Tool
from aos.model.workflow import Workflow

T = TypeVar("T")


async def status(connection: Connection, *, everywhere: bool, style: DataFormat | None) -> ExitCode:
    """Print the overview; SUCCESS if it could be read, whatever it says.

    Raises:
        CommandError: there is no such namespace.
        ApiError: something could not be read.
    """
    namespace = "" if everywhere else connection.resolved_namespace()
    async with connection.client() as client:
        await check_namespace(client, namespace)
        now = datetime.now(UTC)
        inventory = await gather(client, namespace, now)
    if style is None:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        print("\n".join(report(inventory, now, width)))
    else:
        print(as_data(data(inventory), style))
    return ExitCode.SUCCESS


async def gather(client: ApiClient, namespace: str, now: datetime) -> Inventory:
    """Read all that the overview shows.

    Raises:
        ApiError: something could not be read.
    """
    unreadable: list[str] = []
    agents, tools, models, tasks = await asyncio.gather(
        _parsed(client, AGENTS, namespace, Agent.parse, unreadable),
        _parsed(client, TOOLS, namespace, Tool.parse, unreadable),
        _parsed(client, MODELS, namespace, Model.parse, unreadable),
        _parsed(client, TASKS, namespace, Task.parse, unreadable),
    )
    workflows, policies, cluster_policies, requests, components = await asyncio.gather(
        _allowed(client, WORKFLOWS, namespace, Workflow.parse, unreadable),
        _allowed(client, POLICIES, namespace, Policy.parse, unreadable),
        _allowed(client, CLUSTER_POLICIES, "", ClusterPolicy.parse, unreadable),
        _requests(client, namespace, unreadable, now),
        _components(client),
    )
    return Inventory(
        namespace=namespace,
        components=components,
        agents=agents,
        tools=tools,
        models=models,
        tasks=tasks,
        workflows=workflows,
        policies=policies,
        # Who may not read them need not be told of each namespace's ceiling: what it comes to, each Agent says.
        cluster_policies=cluster_policies or (),
        requests=requests,
        unreadable=tuple(sorted(unreadable)),
    )


async def _parsed(
    client: ApiClient,
    resource: Resource,
    namespace: str,
    parse: Callable[[JsonObject], T],
    unreadable: list[str],
) -> tuple[T, ...]:
    found: list[T] = []
    async for raw in client.list(resource, Selection(namespace=namespace)):
        try:
            found.append(parse(raw))
        except ValidationError:
            unreadable.append(f"{resource.kind} {key_of(raw)}")
    return tuple(found)


async def _allowed(
    client: ApiClient,
    resource: Resource,
    namespace: str,
    parse: Callable[[JsonObject], T],
    unreadable: list[str],
) -> tuple[T, ...] | None:
    """Return the objects; None if the caller may not read them."""
    try:
        return await _parsed(client, resource, namespace, parse, unreadable)
    except Forbidden:
        return None


async def _requests(
    client: ApiClient, namespace: str, unreadable: list[str], now: datetime
) -> tuple[ApprovalRequest, ...] | None:
    """Return what waits for people, the most urgent first; None if the caller may not read it."""
    try:
        found = await read_requests(client, Selection(namespace=namespace), unreadable)
    except Forbidden:
        return None
    return tuple(sorted((item for item in found if is_open(item, now)), key=urgency))


async def _components(client: ApiClient) -> tuple[Component, ...] | None:
    """Return AOS's own Deployments, wherever they are; None if the caller may not read them."""
    selection = Selection(label_selector=f"{LABEL_PART_OF}={MANAGED_BY}")
    try:
        return tuple([Component.parse(raw) async for raw in client.list(DEPLOYMENTS, selection)])
    except Forbidden:
        return None
