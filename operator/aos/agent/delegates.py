"""Hands work to other agents through the gateway, by A2A: each delegate is one more function for the model.

What a delegate answers is turned into text and nothing else: it is untrusted, as a tool's result is.
"""

import asyncio
import re
import uuid
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import httpx2
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError
from pydantic.alias_generators import to_camel

from aos.agent.assignment import Assignment
from aos.agent.conversation import CallTool, ToolOffer
from aos.agent.failure import Failure, FailureReason, TaskFailedError, shortened
from aos.agent.prompt import compact_json
from aos.agent.settings import AgentSettings
from aos.agent.tools import ToolReply
from aos.model.base import JsonObject

PREFIX: Final = "delegate_to_"
"""No tool's name begins so: they all have a dot after the name of the Tool, and names of Tools have no underscore."""

_CARD: Final = "/.well-known/agent-card.json"
_SCHEMAS: Final = "https://aos.dev/a2a/schemas/v1"
_ANY_OBJECT: Final[JsonObject] = {"type": "object"}
_VERSION: Final = {"A2A-Version": "1.0"}
_REFUSED: Final = -32020
_REASON: Final = re.compile(r"[A-Z][A-Za-z]{0,63}")
_REFUSALS_OF_CARDS: Final = frozenset({403, 404})
_PASSING: Final = frozenset({429, 502, 503, 504})


class _Part(BaseModel):
    """Base of what is read of the gateway's answers: unknown members are left alone."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")


class _State(StrEnum):
    COMPLETED = "TASK_STATE_COMPLETED"
    SUBMITTED = "TASK_STATE_SUBMITTED"
    WORKING = "TASK_STATE_WORKING"


class _Extension(_Part):
    uri: str = ""
    params: dict[str, JsonValue] = {}


class _Capabilities(_Part):
    extensions: tuple[_Extension, ...] = ()


class _Card(_Part):
    description: str = ""
    capabilities: _Capabilities = _Capabilities()


class _Content(_Part):
    text: str = ""
    data: JsonValue = None


class _Message(_Part):
    parts: tuple[_Content, ...] = ()


class _Status(_Part):
    state: str
    message: _Message = _Message()


class _Artifact(_Part):
    parts: tuple[_Content, ...] = ()


class _Task(_Part):
    id: str
    status: _Status
    artifacts: tuple[_Artifact, ...] = ()


class _Result(_Part):
    task: _Task


class _Detail(_Part):
    reason: str = ""
    metadata: dict[str, str] = {}


class _Error(_Part):
    code: int = 0
    message: str = ""
    data: tuple[_Detail, ...] = ()


class _Answer(_Part):
    result: _Result | None = None
    error: _Error | None = None


@dataclass(frozen=True, slots=True)
class _Again:
    """Nothing final yet: the same message is to be sent again."""

    pause_seconds: float
    why: str
    task: str = ""


class DelegateClient:
    """The agents that this one may hand work to."""

    def __init__(
        self,
        http: httpx2.AsyncClient,
        settings: AgentSettings,
        assignment: Assignment,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._http = http
        self._bounds = settings.bounds
        self._base = f"{settings.gateway_url}/a2a/{assignment.namespace}/"
        self._names = assignment.delegates
        self._sleep = sleep

    async def offers(self) -> tuple[ToolOffer, ...]:
        """Return each delegate as a function with the input schema of its card; one that the gateway denies is left out.

        Raises:
            TaskFailedError: the gateway can't be reached, or a card can't be read.
        """
        cards = [await self._card(name) for name in self._names]
        return tuple(
            _offer(name, card) for name, card in zip(self._names, cards, strict=True) if card is not None
        )

    def has(self, name: str) -> bool:
        """Whether a function of this name hands work to an agent."""
        return name.startswith(PREFIX)

    async def call(self, command: CallTool) -> ToolReply:
        """Hand work over and wait for what comes of it; whatever goes wrong becomes the reply."""
        name = command.name.removeprefix(PREFIX)
        if name not in self._names:
            return ToolReply(f"failed: there is no delegate {name}", failed=True)
        message: JsonObject = {
            "messageId": uuid.uuid4().hex,
            "role": "ROLE_USER",
            "parts": [{"data": command.arguments}],
        }
        last = _Again(0, "no attempt was made")
        try:
            async with asyncio.timeout(self._bounds.handoff_timeout_seconds):
                while True:
                    # The gateway knows the message by its id: sent again, it waits on for the same Task.
                    found = await self._send(name, message)
                    if isinstance(found, ToolReply):
                        return found
                    last = found
                    await self._sleep(found.pause_seconds)
        except TimeoutError:
            await self._cancel(name, last.task)
            seconds = self._bounds.handoff_timeout_seconds
            return ToolReply(
                f"failed: agent {name} gave no answer in {seconds:g} seconds: {last.why}", failed=True
            )

    async def _card(self, name: str) -> _Card | None:
        response = await self._http.get(
            f"{self._base}{name}{_CARD}", headers=_VERSION, timeout=self._bounds.tool_timeout_seconds
        )
        if response.status_code in _REFUSALS_OF_CARDS:
            return None
        if not response.is_success:
            raise TaskFailedError(
                Failure(
                    FailureReason.GATEWAY_UNAVAILABLE,
                    f"the gateway gives no card of agent {name}: HTTP {response.status_code}",
                )
            )
        try:
            return _Card.model_validate_json(response.content)
        except ValidationError as error:
            raise TaskFailedError(
                Failure(FailureReason.TOOLS_UNAVAILABLE, f"the card of agent {name} can't be read")
            ) from error

    async def _send(self, name: str, message: JsonObject) -> ToolReply | _Again:
        pause = self._bounds.retry_pause_seconds
        response = await self._post(name, "SendMessage", {"message": message})
        if response.status_code in _PASSING:
            return _Again(pause, f"HTTP {response.status_code}")
        try:
            answer = _Answer.model_validate_json(response.content)
        except ValidationError:
            return ToolReply(f"failed: agent {name} gave no readable answer", failed=True)
        if answer.error is not None:
            return _refusal(answer.error, pause)
        if answer.result is None:
            return ToolReply(f"failed: HTTP {response.status_code}", failed=True)
        return _reply(name, answer.result.task, pause)

    async def _cancel(self, name: str, task: str) -> None:
        if not task:
            return
        try:
            async with asyncio.timeout(self._bounds.connect_timeout_seconds):
                await self._post(name, "CancelTask", {"id": task})
        except TimeoutError:
            # It ends with this agent's own Task at the latest.
            return

    async def _post(self, name: str, method: str, params: JsonObject) -> httpx2.Response:
        body: JsonObject = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return await self._http.post(
            f"{self._base}{name}", json=body, headers=_VERSION, timeout=self._bounds.handoff_wait_seconds
        )


def _offer(name: str, card: _Card) -> ToolOffer:
    schemas = next((item.params for item in card.capabilities.extensions if item.uri == _SCHEMAS), {})
    given = schemas.get("input")
    return ToolOffer(
        name=f"{PREFIX}{name}",
        description=f"Hand work to another agent and wait for its output. {card.description}",
        input_schema=given if isinstance(given, dict) else _ANY_OBJECT,
    )


def _refusal(error: _Error, pause: float) -> ToolReply | _Again:
    detail = error.data[0] if error.data else _Detail()
    reason = detail.reason if _REASON.fullmatch(detail.reason) else ""
    message = shortened(error.message)
    if reason == "Internal":
        return _Again(pause, message)
    denied = error.code == _REFUSED and "retryAfterSeconds" not in detail.metadata
    return ToolReply(
        f"{'denied' if denied else 'failed'}: {message}", failed=True, denied=denied, reason=reason
    )


def _reply(name: str, task: _Task, pause: float) -> ToolReply | _Again:
    state = task.status.state
    if state in (_State.SUBMITTED, _State.WORKING):
        return _Again(pause, f"it is still {state.removeprefix('TASK_STATE_').lower()}", task.id)
    if state == _State.COMPLETED:
        return ToolReply("\n".join(_texts(task.artifacts)) or "(no content)")
    said = " ".join(part.text for part in task.status.message.parts)
    how = state.removeprefix("TASK_STATE_").lower()
    return ToolReply(f"failed: agent {name}: {how}: {shortened(said)}".rstrip(": "), failed=True)


def _texts(artifacts: Iterable[_Artifact]) -> Iterable[str]:
    for artifact in artifacts:
        for part in artifact.parts:
            yield compact_json(part.data) if isinstance(part.data, dict) else part.text
