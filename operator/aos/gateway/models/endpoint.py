"""The OpenAI-compatible endpoint that agents talk to: one model for each agent, with the gateway's own credential."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from pydantic import JsonValue

from aos.gateway.caller import Caller
from aos.gateway.http import ClientDisconnected, HttpRequest, Send, send_bytes, send_json, send_stream
from aos.gateway.journal import CallOutcome, Entry, Journal, Subject
from aos.gateway.mcp import outbound
from aos.gateway.mcp.http_client import HttpClient, Response, Waits
from aos.gateway.mcp.outbound import Target
from aos.gateway.mcp.sse import EventParser, EventTooLargeError
from aos.gateway.mcp.upstream_error import UpstreamError, too_large
from aos.gateway.models import answer
from aos.gateway.models.answer import NOTHING_USED, TokenUsage
from aos.gateway.models.completion import Completion, prepare
from aos.gateway.models.failure import ModelFailure
from aos.gateway.refusal import Refusal, RefusalCode
from aos.gateway.registry import Registry
from aos.gateway.settings import GatewaySettings
from aos.model.agent import AgentModel
from aos.model.model import Model
from aos.policy.decision import DecisionReason, Effect

COMPLETIONS_PATH: Final = "/v1/chat/completions"
MODELS_PATH: Final = "/v1/models"
ACTION: Final = "chat.completions"

_MAX_ERROR_BYTES: Final = 65_536
_EVENTS: Final = (b"content-type", b"text/event-stream; charset=utf-8")


@dataclass(slots=True)
class _Record:
    """What is known so far of what becomes of a request; it is recorded even if nothing more comes."""

    started_at: float
    model: str = ""
    effect: Effect = Effect.DENY
    reason: DecisionReason | RefusalCode = RefusalCode.BAD_REQUEST
    outcome: CallOutcome = CallOutcome.REFUSED
    sent_at: float | None = None
    usage: TokenUsage = NOTHING_USED


class ModelEndpoint:
    """Answers at ``/v1/chat/completions`` and ``/v1/models``."""

    def __init__(
        self,
        registry: Registry,
        http: HttpClient,
        journal: Journal,
        settings: GatewaySettings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._http = http
        self._journal = journal
        self._clock = clock
        self._max_json_depth = settings.max_json_depth
        self._max_response_bytes = settings.max_response_bytes
        self._waits = Waits(settings.stream_timeout_seconds, settings.upstream_timeout_seconds)

    async def handle(self, request: HttpRequest, caller: Caller, send: Send) -> None:
        """Answer one request.

        Raises:
            ClientDisconnected: the client went away.
        """
        expected = "POST" if request.path == COMPLETIONS_PATH else "GET"
        if request.method != expected:
            await send_bytes(send, b"", HTTPStatus.METHOD_NOT_ALLOWED, ((b"allow", expected.encode()),))
            return
        try:
            if request.path == COMPLETIONS_PATH:
                await self._complete(request, caller, send)
            else:
                await send_json(send, self._models(request.path, caller))
        except Refusal as refusal:
            await _send_failure(send, ModelFailure.of(refusal))
        except ModelFailure as failure:
            await _send_failure(send, failure)

    def _models(self, path: str, caller: Caller) -> JsonValue:
        try:
            model, _ = self._model(caller)
        except ModelFailure:
            if path == MODELS_PATH:
                return {"object": "list", "data": []}
            raise
        created = model.metadata.creation_timestamp
        shown: JsonValue = {
            "id": model.metadata.name,
            "object": "model",
            "created": int(created.timestamp()) if created else 0,
            "owned_by": "aos",
        }
        if path == MODELS_PATH:
            return {"object": "list", "data": [shown]}
        if path.removeprefix(f"{MODELS_PATH}/") in (model.metadata.name, model.spec.model):
            return shown
        raise ModelFailure(
            HTTPStatus.NOT_FOUND,
            RefusalCode.MODEL_UNKNOWN,
            "the model does not exist or is not this agent's",
            code="model_not_found",
        )

    def _model(self, caller: Caller) -> tuple[Model, AgentModel]:
        """Return the agent's model and the bounds on its requests.

        Raises:
            ModelFailure: the agent may use none.
        """
        spec = caller.policy.agent.spec
        if spec.suspend:
            raise ModelFailure(
                HTTPStatus.FORBIDDEN,
                DecisionReason.AGENT_SUSPENDED,
                f"agent {caller.agent} is suspended (spec.suspend)",
            )
        if spec.model is None:
            raise ModelFailure(
                HTTPStatus.FORBIDDEN,
                RefusalCode.MODEL_NOT_ALLOWED,
                f"agent {caller.agent} has no model (spec.model)",
            )
        model = self._registry.model(caller.namespace, spec.model.name)
        if model is None:
            raise ModelFailure(
                HTTPStatus.NOT_FOUND,
                RefusalCode.MODEL_UNKNOWN,
                f"there is no Model {spec.model.name}, which agent {caller.agent} names in spec.model",
                code="model_not_found",
            )
        return model, spec.model

    async def _complete(self, request: HttpRequest, caller: Caller, send: Send) -> None:
        record = _Record(started_at=self._clock())
        try:
            model, bounds = self._model(caller)
            record.model = model.metadata.name
            completion = prepare(await request.json(self._max_json_depth), model, bounds)
            record.effect, record.reason = Effect.ALLOW, DecisionReason.ALLOWED
            record.outcome = CallOutcome.ABORTED
            await _while_connected(request, self._ask(model, completion, send, record))
        except (ModelFailure, Refusal) as refused:
            record.reason = refused.reason if isinstance(refused, ModelFailure) else refused.code
            record.outcome = CallOutcome.REFUSED if record.effect is Effect.DENY else CallOutcome.FAILED
            raise
        finally:
            self._write(caller, record)

    async def _ask(self, model: Model, completion: Completion, send: Send, record: _Record) -> None:
        """Send the request on and the answer back.

        Raises:
            ModelFailure: there is no answer, and nothing was sent yet.
        """
        try:
            target = outbound.target_of(self._registry, model)
            record.sent_at = self._clock()
            response = await self._http.request(
                "POST",
                target.url.rstrip("/") + "/chat/completions",
                {
                    "Content-Type": "application/json",
                    "Accept": "text/event-stream" if completion.streams else "application/json",
                    **target.authorization(),
                },
                completion.body,
                self._waits,
            )
            try:
                await self._answer(response, target, completion, send, record)
            finally:
                response.release()
        except UpstreamError as error:
            raise answer.failure_from(error) from None

    async def _answer(
        self,
        response: Response,
        target: Target,
        completion: Completion,
        send: Send,
        record: _Record,
    ) -> None:
        outbound.check_encoding(response)
        if response.status != HTTPStatus.OK:
            content = await outbound.read_all(response, _MAX_ERROR_BYTES)
            retry_after = response.headers.get("retry-after", "")
            raise answer.failure_of(response.status, content, retry_after, target.gives_away)
        expected = "text/event-stream" if completion.streams else "application/json"
        if outbound.media_type(response) != expected:
            raise UpstreamError(
                RefusalCode.UPSTREAM_INVALID, f"its answer is not {expected}", maybe_done=True
            )
        if completion.streams:
            await send_stream(send, self._events(response, target, completion, record), headers=(_EVENTS,))
            return
        content = await outbound.read_all(response, self._max_response_bytes)
        body, record.usage = answer.read_answer(content, target.gives_away)
        await send_json(send, body)
        record.outcome = CallOutcome.ANSWERED

    async def _events(
        self, response: Response, target: Target, completion: Completion, record: _Record
    ) -> AsyncIterator[bytes]:
        """Yield the stream's events; a failure, since the answer has begun, is its last event."""
        parser = EventParser(self._max_response_bytes)
        try:
            async for received in outbound.chunks(response, self._max_response_bytes):
                given_on = b""
                for data in parser.feed(received):
                    chunk = answer.read_event(data, target.gives_away, shows_usage=completion.shows_usage)
                    record.usage = chunk.usage or record.usage
                    given_on += chunk.content
                    if chunk.ends:
                        record.outcome = CallOutcome.ANSWERED
                        yield given_on
                        return
                yield given_on
        except (UpstreamError, EventTooLargeError) as error:
            failure = answer.failure_from(
                error if isinstance(error, UpstreamError) else too_large(self._max_response_bytes)
            )
            record.reason, record.outcome = failure.reason, CallOutcome.FAILED
            yield answer.error_event(failure)
            return
        record.outcome = CallOutcome.ANSWERED

    def _write(self, caller: Caller, record: _Record) -> None:
        now = self._clock()
        self._journal.record(
            Entry(
                caller=caller,
                subject=Subject.MODEL,
                name=record.model,
                action=ACTION,
                effect=record.effect,
                reason=record.reason,
                outcome=record.outcome,
                duration_seconds=now - record.started_at,
                upstream_seconds=0 if record.sent_at is None else now - record.sent_at,
                prompt_tokens=record.usage.prompt,
                completion_tokens=record.usage.completion,
            )
        )


async def _while_connected(request: HttpRequest, work: Coroutine[None, None, None]) -> None:
    """Do ``work``, and stop it when the client goes away: a model's answer costs money to the last token.

    Raises:
        ClientDisconnected: the client went away first.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(request.disconnected())
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnected
        working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _send_failure(send: Send, failure: ModelFailure) -> None:
    await send_json(send, failure.body(), failure.status, failure.headers())
