"""``aos run``: creates a Task, and follows it to its end."""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aos.cli.connection import Connection
from aos.cli.exits import CommandError, ExitCode, usage_error
from aos.cli.formats import DataFormat, ObjectFormat
from aos.cli.namespaces import check_namespace
from aos.cli.output import as_data
from aos.cli.progress import progress
from aos.cli.story import ending, succeeded
from aos.cli.watch import follow, kubectl
from aos.kube.client import ApiClient
from aos.kube.errors import AlreadyExists, Forbidden, NotFound
from aos.kube.resources import AGENTS, TASKS, Resource
from aos.model.base import JsonObject
from aos.model.duration import duration_seconds
from aos.model.meta import ObjectKey
from aos.model.names import API_VERSION, GROUP, MAX_NAME_LENGTH
from aos.model.task import TASK_KIND, Task

GRACE_SECONDS: Final = 60.0
"""Waited beyond a Task's deadline: the operator ends it at its deadline, and has to clear up and say so."""
_SUFFIX_LETTERS: Final = "bcdfghjklmnpqrstvwxz2456789"
_SUFFIX_LENGTH: Final = 5
_NAME_ATTEMPTS: Final = 5


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What is asked.

    Attributes:
        agent: name of the Agent.
        task_input: the Task's input.
        deadline: a duration such as ``10m``.
        watch: whether to follow the Task to its end.
        timeout: how long to follow it, as a duration; empty for its deadline, which moves while people decide, and a minute.
        style: how to print the Task for programs; None for the output alone.
    """

    agent: str
    task_input: JsonObject
    deadline: str
    watch: bool
    timeout: str = ""
    style: ObjectFormat | None = None


async def run(connection: Connection, request: RunRequest) -> ExitCode:
    """Create the Task and follow it; its output is all that goes to standard output.

    Raises:
        CommandError: the request is malformed, the Agent is not there, or the Task did not end in time.
        ApiError: the API server refused the Task.
    """
    seconds = timeout_seconds(request)
    namespace = connection.resolved_namespace()
    async with connection.client() as client:
        agent = ObjectKey(namespace=namespace, name=request.agent)
        await check_there(client, AGENTS, agent, f"aos status -n {namespace}")
        task = await create_task(client, namespace, request)
        if not request.watch:
            print(as_created(task, request.style))
            return ExitCode.SUCCESS
        with progress(f"Task {task.key}") as shown:
            shown.say(f"Task {task.key} created")
            try:
                task = await follow(client, task, shown, seconds, moves=not request.timeout)
            except asyncio.CancelledError:
                shown.say(f"Task {task.key} goes on; `{kubectl('delete', task)}` cancels it")
                raise
            shown.say(ending(task))
    if text := as_ended(task, request.style):
        print(text)
    return ExitCode.SUCCESS if succeeded(task) else ExitCode.FAILURE


def timeout_seconds(request: RunRequest) -> float:
    """Return how long the Task is followed.

    Raises:
        CommandError: a duration is malformed.
    """
    seconds = duration_of(request.deadline, "--deadline") + GRACE_SECONDS
    return duration_of(request.timeout, "--timeout") if request.timeout else seconds


def duration_of(duration: str, option: str) -> float:
    """Return the seconds of what stands behind ``option``.

    Raises:
        CommandError: it is malformed.
    """
    try:
        return duration_seconds(duration)
    except ValueError as error:
        raise usage_error(f"{option}: {error}") from error


async def check_there(client: ApiClient, resource: Resource, key: ObjectKey, look: str) -> None:
    """Check that what is to do the work is there: it would be waited for, and most often it is a typing error.

    Args:
        client: where it should be.
        resource: its kind.
        key: its namespace and name.
        look: the command that shows what there is.

    Raises:
        CommandError: it is not there, or its namespace is not.
    """
    try:
        await client.get(resource, key.name, key.namespace)
    except NotFound as error:
        if "page not found" in error.message:
            raise
        await check_namespace(client, key.namespace)
        raise CommandError(
            ExitCode.REFUSED,
            f"there is no {resource.kind} {key.name} in namespace {key.namespace}; `{look}` shows what there is",
        ) from error
    except Forbidden:
        # Who may create work need not be allowed to read who does it.
        return


async def create_task(client: ApiClient, namespace: str, request: RunRequest) -> Task:
    """Create the Task, in the name of whom the API server takes the caller for, and return it.

    Raises:
        ApiError: the API server refused it.
    """
    by = await requester(client)
    raw = await create_named(
        client, TASKS, request.agent, lambda name: manifest(namespace, name, by, request)
    )
    return Task.parse(raw)


async def create_named(
    client: ApiClient, resource: Resource, stem: str, made: Callable[[str], JsonObject]
) -> JsonObject:
    """Create what ``made`` makes for a name that begins with ``stem`` and that nobody has, and return it.

    Raises:
        ApiError: the API server refused it.
    """
    for attempt in range(1, _NAME_ATTEMPTS + 1):
        try:
            return await client.create(resource, made(new_name(stem)))
        except AlreadyExists:
            if attempt == _NAME_ATTEMPTS:
                raise
    raise AssertionError("the loop above ends by return or raise")


async def requester(client: ApiClient) -> str:
    """Return whom the API server takes the caller for; empty where it does not say."""
    try:
        return (await client.self_subject_review()).username
    except Forbidden:
        return ""


def new_name(stem: str) -> str:
    """Return a new name: ``stem``, as far as there is room, and random letters."""
    suffix = "".join(secrets.choice(_SUFFIX_LETTERS) for _ in range(_SUFFIX_LENGTH))
    return f"{stem[: MAX_NAME_LENGTH - _SUFFIX_LENGTH - 1].rstrip('-')}-{suffix}"


def manifest(namespace: str, name: str, requested_by: str, request: RunRequest) -> JsonObject:
    """Return the Task as it is to be created."""
    spec: JsonObject = {
        "agentRef": {"name": request.agent},
        "input": request.task_input,
        "deadline": request.deadline,
    }
    if requested_by:
        spec["requestedBy"] = requested_by
    return {
        "apiVersion": API_VERSION,
        "kind": TASK_KIND.kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def as_created(task: Task, style: ObjectFormat | None) -> str:
    """Return what is printed for a Task that is not followed."""
    if style in {None, ObjectFormat.NAME}:
        return reference(task) if style else f"{reference(task)} created"
    return as_data(_object(task), style)


def as_ended(task: Task, style: ObjectFormat | None) -> str:
    """Return what is printed for a Task that was followed to its end; empty if it has no output."""
    if style is ObjectFormat.NAME:
        return reference(task)
    if style is not None:
        return as_data(_object(task), style)
    result = task.status.result
    return as_data(result.output, DataFormat.JSON) if result and result.output is not None else ""


def reference(task: Task) -> str:
    """Return the Task as kubectl names objects with ``-o name``."""
    return f"task.{GROUP}/{task.metadata.name}"


def _object(task: Task) -> JsonObject:
    raw: JsonObject = task.model_dump(mode="json", by_alias=True, exclude_none=True)
    return raw
