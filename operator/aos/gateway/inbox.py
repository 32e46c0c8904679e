"""The task's own endpoints: what an agent is to do, and what it hands in."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final, Protocol

import orjson
from pydantic import JsonValue, ValidationError

from aos.gateway.app import RESULT_PATH
from aos.gateway.assigning import TaskFeed, TaskWaiting
from aos.gateway.caller import Caller
from aos.gateway.http import HttpRequest, Send, send_bytes, send_json
from aos.gateway.identity import Unassigned, deadline_of
from aos.gateway.refusal import Refusal, RefusalCode
from aos.gateway.registry import Revision
from aos.gateway.schemas import Schema, SchemaError, compile_schema
from aos.gateway.settings import GatewaySettings
from aos.gateway.usage import Usage
from aos.kube.errors import ApiError, Conflict, NotFound
from aos.kube.resources import TASKS, Resource
from aos.model.base import JsonObject
from aos.model.names import FIELD_MANAGER_GATEWAY, TASK_HEADER
from aos.model.structural import MAX_FREE_PROPERTIES
from aos.model.task import Outcome, Task, TaskResult

MAX_OUTPUT_BYTES: Final = 262_144
"""An output is kept in the Task's status, and objects of the API server have a bound of their own."""
MAX_REASON_LENGTH: Final = 64
MAX_MESSAGE_LENGTH: Final = 2048
_MAX_SCHEMAS: Final = 1024
_ATTEMPTS: Final = 4


class TaskRegistry(TaskFeed, Protocol):
    """What is asked of the registry."""

    def revision(self, namespace: str, name: str) -> Revision | None:
        """Return the revision, or None."""

    def close_task(self, task: Task) -> None:
        """Let no more calls be made for ``task``, before its status says so."""

    def is_closed(self, uid: str) -> bool:
        """Whether this gateway took a result for the Task with ``uid``."""


class TaskStore(Protocol):
    """What is asked of a client; `aos.kube.client.ApiClient` has it."""

    async def get(self, resource: Resource, name: str, namespace: str = "") -> JsonObject:
        """Return one object."""

    async def apply_status(
        self, resource: Resource, manifest: JsonObject, *, field_manager: str, force: bool = True
    ) -> JsonObject:
        """Apply a status."""


@dataclass(frozen=True, slots=True)
class HandedIn:
    """What an agent hands in: an output, or why there is none."""

    output: JsonObject | None
    reason: str = ""
    message: str = ""


class TaskInbox:
    """Answers at ``/v1/task`` and ``/v1/task/result``."""

    def __init__(
        self,
        registry: TaskRegistry,
        store: TaskStore,
        usage: Usage,
        settings: GatewaySettings,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._registry = registry
        self._waiting = TaskWaiting(registry, settings)
        self._store = store
        self._usage = usage
        self._max_json_depth = settings.max_json_depth
        self._now = now
        self._schemas: OrderedDict[tuple[str, str], Schema | None] = OrderedDict()

    @property
    def waiting(self) -> int:
        """How many pods wait for a Task."""
        return len(self._waiting)

    def end_waiting(self) -> None:
        """Keep no pod waiting any more: the gateway stops."""
        self._waiting.end()

    async def until_assigned(
        self, request: HttpRequest, unassigned: Unassigned, authenticate: Callable[[], Awaitable[Caller]]
    ) -> Caller | None:
        """Return the caller once a Task names its pod; None if none did within ``task_wait_seconds``.

        Raises:
            Refusal: too many wait, or the pod may not call any more.
            ClientDisconnected: the client went away.
        """
        return await self._waiting.until_assigned(request, unassigned, authenticate)

    async def handle(self, request: HttpRequest, caller: Caller, send: Send) -> None:
        """Answer one request.

        Raises:
            Refusal: nothing was sent yet, and this is the answer.
            ClientDisconnected: the client went away.
        """
        expected = "POST" if request.path == RESULT_PATH else "GET"
        if request.method != expected:
            raise Refusal(
                HTTPStatus.METHOD_NOT_ALLOWED,
                RefusalCode.METHOD_NOT_ALLOWED,
                f"use {expected} at {request.path}",
            )
        if request.path != RESULT_PATH:
            await send_json(send, assignment_of(caller, self._revision(caller)))
            return
        if caller.is_service and not request.header(TASK_HEADER.lower().encode()):
            # Sent again after its answer was lost, it would be taken for the result of the pod's next Task.
            raise _malformed(f"say which Task the result is of: {TASK_HEADER}: UID, as GET /v1/task gave it")
        self._check_open(caller.task)
        handed_in = read_result(await request.json(self._max_json_depth))
        self._check_output(caller, handed_in)
        await self._keep(caller.task, handed_in)
        await send_bytes(send, b"", HTTPStatus.NO_CONTENT)

    def _revision(self, caller: Caller) -> Revision:
        revision = self._registry.revision(caller.namespace, caller.revision)
        if revision is None:
            raise Refusal(
                HTTPStatus.SERVICE_UNAVAILABLE,
                RefusalCode.REVISION_UNKNOWN,
                f"revision {caller.revision or '(none)'} of agent {caller.agent} is not known (yet)",
                retry_after_seconds=1,
            )
        return revision

    def _check_open(self, task: Task) -> None:
        if task.status.result is not None or self._registry.is_closed(task.metadata.uid):
            raise _result_exists(task)
        if not task.open or self._now().timestamp() > deadline_of(task):
            raise Refusal(
                HTTPStatus.CONFLICT,
                RefusalCode.TASK_ENDED,
                f"Task {task.metadata.name} has ended; no result is taken",
            )

    def _check_output(self, caller: Caller, handed_in: HandedIn) -> None:
        if handed_in.output is None:
            return
        schema = self._output_schema(caller)
        details = schema.problems(handed_in.output) if schema else ()
        if details:
            raise Refusal(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                RefusalCode.OUTPUT_INVALID,
                f"the output does not fit the output schema of agent {caller.agent}",
                details=details,
            )

    def _output_schema(self, caller: Caller) -> Schema | None:
        """Return the schema of the revision that the agent runs; it is compiled once."""
        revision = self._revision(caller)
        key = (caller.namespace, revision.name)
        if key not in self._schemas:
            try:
                said = revision.spec.output
                self._schemas[key] = compile_schema(said.schema_, older_dialects=False) if said else None
            except SchemaError as error:
                raise Refusal(
                    HTTPStatus.SERVICE_UNAVAILABLE,
                    RefusalCode.REVISION_UNKNOWN,
                    f"the output schema of agent {caller.agent} can't be used: {error}",
                ) from error
            if len(self._schemas) > _MAX_SCHEMAS:
                self._schemas.popitem(last=False)
        return self._schemas[key]

    async def _keep(self, task: Task, handed_in: HandedIn) -> None:
        """Write the result into the Task's status, once: whoever else wrote one first has won."""
        for _ in range(_ATTEMPTS):
            try:
                await self._store.apply_status(
                    TASKS, await self._manifest(task, handed_in), field_manager=FIELD_MANAGER_GATEWAY
                )
            except Conflict:
                task = await self._read_again(task)
            except NotFound:
                raise _gone(task) from None
            except ApiError as error:
                raise _not_kept(error.reason or type(error).__name__) from error
            else:
                self._registry.close_task(task)
                return
        raise _not_kept("the Task changed too often")

    async def _read_again(self, task: Task) -> Task:
        try:
            there = Task.parse(await self._store.get(TASKS, task.metadata.name, task.metadata.namespace))
        except NotFound:
            raise _gone(task) from None
        except (ApiError, ValidationError) as error:
            raise _not_kept(type(error).__name__) from error
        if there.metadata.uid != task.metadata.uid:
            raise _gone(task)
        self._check_open(there)
        return there

    async def _manifest(self, task: Task, handed_in: HandedIn) -> JsonObject:
        result = TaskResult(
            outcome=Outcome.FAILED if handed_in.output is None else Outcome.SUCCEEDED,
            output=handed_in.output,
            reason=handed_in.reason,
            message=handed_in.message,
            time=self._now().replace(microsecond=0),
        )
        usage = await self._usage.total(task.metadata.uid)
        return {
            "apiVersion": TASKS.api_version,
            "kind": TASKS.kind,
            "metadata": {
                "name": task.metadata.name,
                "namespace": task.metadata.namespace,
                "uid": task.metadata.uid,
                # Only the Task that was looked at is written to: two results can't both be the first.
                "resourceVersion": task.metadata.resource_version,
            },
            "status": {
                "result": result.model_dump(mode="json", by_alias=True, exclude_none=True),
                "usage": usage.model_dump(mode="json", by_alias=True),
            },
        }


def assignment_of(caller: Caller, revision: Revision) -> JsonObject:
    """Return what the agent is to do, as ``GET /v1/task`` answers it."""
    task, spec = caller.task, revision.spec
    deadline = datetime.fromtimestamp(deadline_of(task), UTC)
    return {
        "uid": task.metadata.uid,
        "name": task.metadata.name,
        "namespace": caller.namespace,
        "agent": caller.agent,
        "revision": revision.name,
        "instructions": revision.instructions,
        "input": task.spec.input,
        "outputSchema": spec.output.schema_ if spec.output else None,
        "model": spec.model.name if spec.model else "",
        "delegates": list(spec.delegates),
        "deadline": deadline.isoformat().replace("+00:00", "Z"),
    }


def read_result(body: JsonValue) -> HandedIn:
    """Return what ``{"output": {...}}`` or ``{"failure": {"reason", "message"}}`` hands in.

    Raises:
        Refusal: it is neither, or too large (400, 413).
    """
    if not isinstance(body, dict) or len(body) != 1:
        raise _malformed('send either {"output": {...}} or {"failure": {"reason", "message"}}')
    if "output" in body:
        output = body["output"]
        if not isinstance(output, dict):
            raise _malformed("output must be an object")
        if len(output) > MAX_FREE_PROPERTIES:
            # The API server would refuse it, and that again however often it is sent.
            raise Refusal(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                RefusalCode.OUTPUT_INVALID,
                f"the output has {len(output)} fields, more than {MAX_FREE_PROPERTIES}; put them into one of their own",
            )
        size_bytes = len(orjson.dumps(output))
        if size_bytes > MAX_OUTPUT_BYTES:
            raise Refusal(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                RefusalCode.REQUEST_TOO_LARGE,
                f"the output has {size_bytes} bytes, more than {MAX_OUTPUT_BYTES}",
            )
        return HandedIn(output)
    return _failure(body.get("failure"))


def _failure(said: JsonValue) -> HandedIn:
    if not isinstance(said, dict) or not said.keys() <= {"reason", "message"}:
        raise _malformed("failure must be an object with reason and message")
    reason, message = said.get("reason"), said.get("message", "")
    if (
        not isinstance(reason, str)
        or not 0 < len(reason) <= MAX_REASON_LENGTH
        or not isinstance(message, str)
    ):
        raise _malformed(f"failure.reason must have 1 to {MAX_REASON_LENGTH} characters, and message be text")
    return HandedIn(None, reason, message[:MAX_MESSAGE_LENGTH])


def _malformed(message: str) -> Refusal:
    return Refusal(HTTPStatus.BAD_REQUEST, RefusalCode.BAD_REQUEST, message)


def _result_exists(task: Task) -> Refusal:
    return Refusal(
        HTTPStatus.CONFLICT, RefusalCode.RESULT_EXISTS, f"Task {task.metadata.name} has its result already"
    )


def _gone(task: Task) -> Refusal:
    return Refusal(
        HTTPStatus.FORBIDDEN,
        RefusalCode.TASK_UNKNOWN,
        f"Task {task.metadata.name} was deleted, which cancels it",
    )


def _not_kept(why: str) -> Refusal:
    return Refusal(
        HTTPStatus.SERVICE_UNAVAILABLE,
        RefusalCode.INTERNAL,
        f"the result could not be written to the Task ({why}); send it again",
        retry_after_seconds=1,
    )
