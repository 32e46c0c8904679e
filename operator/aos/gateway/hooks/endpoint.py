"""``POST /hooks/NAMESPACE/WORKFLOW/TRIGGER``: a signed request from outside starts a run of a Workflow, once."""

import logging
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Protocol

from pydantic import JsonValue

from aos.gateway.app import not_found
from aos.gateway.hooks.signature import SignatureError, Signed, UnusableKeyError, key_of, verify
from aos.gateway.http import ClientDisconnected, HttpRequest, Receive, Scope, Send, send_json, send_refusal
from aos.gateway.refusal import Refusal, RefusalCode
from aos.gateway.settings import GatewaySettings
from aos.kube.errors import AlreadyExists, ApiError
from aos.kube.resources import WORKFLOW_RUNS, Resource
from aos.model.base import JsonObject
from aos.model.conditions import WEBHOOK_REASONS, ConditionType
from aos.model.duration import duration_seconds
from aos.model.meta import ConditionStatus
from aos.model.names import API_VERSION, triggered_run
from aos.model.workflow import Trigger, Webhook, Workflow
from aos.model.workflow_run import WORKFLOW_RUN_KIND
from aos.policy.schemas import MessageSchema, SchemaError
from aos.workflow.expression import ExpressionError
from aos.workflow.template import Template

HOOKS_PREFIX: Final = "/hooks/"
MAX_BODY_BYTES: Final = 262_144
"""The run's input is made from it, and that stands in an object of the API server."""
MAX_STARTS: Final = 64
"""Requests of one replica that may be starting runs at once."""
_PARTS: Final = 3
_CLOSE: Final = ((b"connection", b"close"),)

_log = logging.getLogger(__name__)


class Workflows(Protocol):
    """What is asked of the registry."""

    def workflow(self, namespace: str, name: str) -> Workflow | None:
        """Return the Workflow, or None."""

    def trigger_secret(self, namespace: str, workflow: str, trigger: str) -> str | None:
        """Return the text of the Secret that the trigger names; None while it can't be had."""

    def staleness_seconds(self) -> float:
        """Return the age of the oldest knowledge that decisions rest on."""


class Creator(Protocol):
    """What is asked of a client; `aos.kube.client.ApiClient` has it."""

    async def create(self, resource: Resource, manifest: JsonObject) -> JsonObject:
        """Create an object."""


@dataclass(frozen=True, slots=True)
class _Hook:
    """A trigger that a request may start a run by."""

    workflow: Workflow
    trigger: Trigger
    webhook: Webhook
    key: bytes


class HookApp:
    """The ASGI application of the webhooks' port. Nobody is told which Workflows there are who can't sign for them."""

    def __init__(
        self,
        workflows: Workflows,
        client: Creator,
        settings: GatewaySettings,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Make it.

        Args:
            workflows: what there is.
            client: where runs are made.
            settings: bounds.
            now: seconds since 1970.
        """
        self._workflows = workflows
        self._client = client
        self._settings = settings
        self._now = now
        self._starting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            await self._answer(scope, receive, send)
        except ClientDisconnected:
            return
        except Refusal as refusal:
            await send_refusal(send, refusal, _CLOSE)
        except Exception as error:  # noqa: BLE001 - whatever one request brings, it is answered
            # Only where it failed, never what it said: messages of errors quote the data that they are about.
            where = "".join(traceback.format_tb(error.__traceback__))
            _log.error("a webhook failed with %s:\n%s", type(error).__name__, where)
            failed = Refusal(
                HTTPStatus.INTERNAL_SERVER_ERROR,
                RefusalCode.INTERNAL,
                "the gateway failed; its log says where",
            )
            await send_refusal(send, failed, _CLOSE)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        settings = self._settings
        request = HttpRequest(
            scope,
            receive,
            max_body_bytes=min(MAX_BODY_BYTES, settings.max_request_bytes),
            timeout_seconds=settings.request_timeout_seconds,
        )
        namespace, workflow, trigger = _address(request)
        self._check_fresh()
        body = await request.body()
        signed = _signed(request)
        hook = self._hook(namespace, workflow, trigger)
        self._verify(hook, signed, body)
        if hook is None:
            raise _unknown()
        given = await request.json(settings.max_json_depth)
        _check_takes_runs(hook)
        manifest = _manifest(hook, signed.id, given)
        if manifest is None:
            await send_json(
                send, {"started": False, "reason": "the trigger's when is not true for this body"}
            )
            return
        status, said = await self._started(manifest)
        await send_json(send, said, status)

    def _check_fresh(self) -> None:
        bound = self._settings.max_staleness_seconds
        if self._workflows.staleness_seconds() > bound:
            raise Refusal(
                HTTPStatus.SERVICE_UNAVAILABLE,
                RefusalCode.STALE,
                f"the gateway has not heard of the cluster for longer than {bound:g} s; send it again later",
                retry_after_seconds=5,
            )

    def _hook(self, namespace: str, name: str, trigger_name: str) -> _Hook | None:
        """Return the trigger, if there is such a one and its key is known."""
        workflow = self._workflows.workflow(namespace, name)
        if workflow is None:
            return None
        trigger = next((item for item in workflow.spec.triggers if item.name == trigger_name), None)
        if trigger is None or trigger.webhook is None:
            return None
        secret = self._workflows.trigger_secret(namespace, name, trigger_name)
        if secret is None:
            _log.warning(
                "the secret of trigger %s of Workflow %s/%s can't be read", trigger_name, namespace, name
            )
            return None
        try:
            return _Hook(workflow, trigger, trigger.webhook, key_of(secret))
        except UnusableKeyError as error:
            _log.warning(
                "trigger %s of Workflow %s/%s can't be used: %s", trigger_name, namespace, name, error
            )
            return None

    def _verify(self, hook: _Hook | None, signed: Signed, body: bytes) -> None:
        # The same work for a trigger that is not there, so that the time does not tell either.
        key = hook.key if hook is not None else b"\0" * 32
        window = duration_seconds(hook.webhook.replay_window) if hook is not None else 0.0
        try:
            verify(signed, body, key, window, self._now())
        except SignatureError as error:
            if hook is None:
                raise _unknown() from None
            raise _unauthorized(str(error)) from None

    async def _started(self, manifest: JsonObject) -> tuple[int, JsonObject]:
        if self._starting >= MAX_STARTS:
            raise Refusal(
                HTTPStatus.TOO_MANY_REQUESTS,
                RefusalCode.TOO_MANY_CALLS,
                f"{MAX_STARTS} webhooks are starting runs already; send it again later",
                retry_after_seconds=1,
            )
        self._starting += 1
        try:
            return await self._created(manifest)
        finally:
            self._starting -= 1

    async def _created(self, manifest: JsonObject) -> tuple[int, JsonObject]:
        metadata = manifest["metadata"]
        name = metadata["name"] if isinstance(metadata, dict) else ""
        try:
            await self._client.create(WORKFLOW_RUNS, manifest)
        except AlreadyExists:
            # The name is made from the delivery's id: the first one started it.
            return HTTPStatus.OK, {"started": False, "run": name, "reason": "this delivery started it before"}
        except ApiError as error:
            _log.warning("a webhook's run was refused: %s", error)
            raise Refusal(
                HTTPStatus.SERVICE_UNAVAILABLE,
                RefusalCode.INTERNAL,
                "the API server did not take the run; send it again later",
                retry_after_seconds=5,
            ) from None
        return HTTPStatus.ACCEPTED, {"started": True, "run": name}


def _address(request: HttpRequest) -> tuple[str, str, str]:
    parts = request.path.removeprefix(HOOKS_PREFIX).split("/")
    if not request.path.startswith(HOOKS_PREFIX) or len(parts) != _PARTS or not all(parts):
        raise not_found(request.path)
    if request.method != "POST":
        raise Refusal(
            HTTPStatus.METHOD_NOT_ALLOWED, RefusalCode.METHOD_NOT_ALLOWED, "webhooks are sent by POST"
        )
    return parts[0], parts[1], parts[2]


def _signed(request: HttpRequest) -> Signed:
    values = [
        request.header(name).decode("latin-1")
        for name in (b"webhook-id", b"webhook-timestamp", b"webhook-signature")
    ]
    return Signed(*values)


def _unknown() -> Refusal:
    return _unauthorized("there is no such webhook, or it was signed with another key")


def _unauthorized(why: str) -> Refusal:
    return Refusal(HTTPStatus.UNAUTHORIZED, RefusalCode.SIGNATURE_INVALID, why)


def _check_takes_runs(hook: _Hook) -> None:
    """Check that the Workflow starts runs now; who can sign may know."""
    workflow = hook.workflow
    if workflow.spec.suspend:
        raise _not_now(f"Workflow {workflow.metadata.name} is suspended")
    ready = next((item for item in workflow.status.conditions if item.type == ConditionType.READY), None)
    if ready is None or ready.observed_generation != workflow.metadata.generation:
        raise _not_now(f"Workflow {workflow.metadata.name} has not been looked at yet")
    if ready.status is not ConditionStatus.TRUE and ready.reason not in WEBHOOK_REASONS:
        raise _not_now(f"Workflow {workflow.metadata.name} is not ready: {ready.reason}")


def _not_now(why: str) -> Refusal:
    return Refusal(
        HTTPStatus.SERVICE_UNAVAILABLE,
        RefusalCode.WORKFLOW_NOT_READY,
        f"{why}; send it again later",
        retry_after_seconds=30,
    )


def _manifest(hook: _Hook, delivery: str, body: JsonValue) -> JsonObject | None:
    """Return the run that the request starts; None if the trigger does not want it.

    Raises:
        Refusal: an expression of the trigger fails for this body.
    """
    workflow, trigger = hook.workflow, hook.trigger
    try:
        wanted = True if hook.webhook.when is None else _rendered(hook.webhook.when, body)
        given = _rendered(trigger.input, body)
    except ExpressionError as error:
        raise _unfit(f"trigger {trigger.name} can't be worked out for this body: {error}") from None
    if wanted is not True:
        return None
    if not isinstance(given, dict):
        raise _unfit(f"the input of trigger {trigger.name} is no object")
    if misfit := _misfit(workflow, given):
        raise _unfit(f"the run's input does not fit the Workflow's schema: {misfit}")
    metadata = workflow.metadata
    return {
        "apiVersion": API_VERSION,
        "kind": WORKFLOW_RUN_KIND.kind,
        "metadata": {
            "name": triggered_run(metadata.name, metadata.uid, trigger.name, delivery),
            "namespace": metadata.namespace,
        },
        "spec": {
            "workflowRef": {"name": metadata.name},
            "input": given,
            "requestedBy": f"aos:trigger/{trigger.name}",
            "trigger": {"name": trigger.name, "id": delivery},
        },
    }


def _misfit(workflow: Workflow, given: JsonObject) -> str:
    """Return why the input does not fit; empty if it does."""
    if workflow.spec.input is None:
        return ""
    try:
        schema = MessageSchema(workflow.spec.input.schema_, quotes_values=False)
    except SchemaError as error:
        return f"the schema can't be used: {error}"
    return "; ".join(schema.problems(given))


def _rendered(template: JsonValue, body: JsonValue) -> JsonValue:
    return Template.compile(template).render({"body": body})


def _unfit(why: str) -> Refusal:
    return Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, RefusalCode.INPUT_INVALID, why)
