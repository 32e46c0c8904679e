"""The OpenAI-compatible endpoint that agents talk to: one model for each agent, with the gateway's own credential."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import orjson
from pydantic import JsonValue

from aos.gateway.caller import Caller
from aos.gateway.control.asked import AskedCall, Finished, Ticket
from aos.gateway.control.control import CallControl
from aos.gateway.control.likeness import likeness
from aos.gateway.http import ClientDisconnected, HttpRequest, Send, send_bytes, send_json, send_stream
from aos.gateway.journal import CallOutcome, Entry, Journal, Subject, arguments_digest
from aos.gateway.models import answer
from aos.gateway.models.answer import NOTHING_USED, TokenUsage
from aos.gateway.models.completion import Completion, prepare
from aos.gateway.models.estimate import SeenOutput, most_prompt_tokens
from aos.gateway.models.failure import ModelFailure
from aos.gateway.models.inspecting import checked_failure, choices_checked, request_checked
from aos.gateway.models.output import (
    OutputCutError,
    OutputStream,
    bounds_of,
    event_checked,
    rest_checked,
    seen_in,
)
from aos.gateway.models.spending import (
    DEFAULT_MAX_OUTPUT_TOKENS,
    Reservation,
    counts_tokens,
    obligations_of,
    reserve,
    settled,
    tokens_of,
)
from aos.gateway.refusal import Refusal, RefusalCode, Refused, refusal_of
from aos.gateway.registry import Registry
from aos.gateway.settings import GatewaySettings
from aos.gateway.upstream import outbound
from aos.gateway.upstream.http_client import HttpClient, Response, Waits
from aos.gateway.upstream.outbound import Target
from aos.gateway.upstream.sse import EventParser, EventTooLargeError
from aos.gateway.upstream.statuses import is_undone
from aos.gateway.upstream.upstream_error import UpstreamError, too_large
from aos.inspection.inspector import Inspected, Inspector, inspector_for
from aos.model.agent import AgentModel
from aos.model.model import Model
from aos.policy.decision import DecisionReason, Effect
from aos.policy.effective import LOWER_LAYER, EffectivePolicy
from aos.policy.obligations import Obligations

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
    digest: str = ""
    effect: Effect = Effect.DENY
    reason: DecisionReason | RefusalCode = RefusalCode.BAD_REQUEST
    outcome: CallOutcome = CallOutcome.REFUSED
    sent_at: float | None = None
    released: bool = False
    usage: TokenUsage | None = None
    seen: Callable[[], SeenOutput] = SeenOutput
    found: frozenset[str] = frozenset()
    refused: bool = False


@dataclass(frozen=True, slots=True)
class _Cleared:
    """A request that may be sent.

    Attributes:
        model: where to.
        completion: as the agent's and the model's specs have it.
        content: its JSON, without what policy redacts.
        obligations: what it is held to.
        inspector: of its data rules.
        reservation: the most that it may take.
    """

    model: Model
    completion: Completion
    content: bytes
    obligations: Obligations
    inspector: Inspector
    reservation: Reservation


class ModelEndpoint:
    """Answers at ``/v1/chat/completions`` and ``/v1/models``."""

    def __init__(
        self,
        registry: Registry,
        http: HttpClient,
        control: CallControl,
        journal: Journal,
        settings: GatewaySettings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._http = http
        self._control = control
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
        suspended = next(
            (each.agent for each in (caller.policy, *caller.ancestors) if each.agent.spec.suspend), None
        )
        if suspended is not None:
            raise ModelFailure(
                HTTPStatus.FORBIDDEN,
                DecisionReason.AGENT_SUSPENDED,
                f"agent {suspended.metadata.name} is suspended (spec.suspend)",
            )
        problem = next(
            (each for policy in (caller.policy, *caller.ancestors) for each in policy.problems), ""
        )
        if problem:
            raise ModelFailure(
                HTTPStatus.FORBIDDEN,
                DecisionReason.POLICY_NOT_ACCEPTED,
                f"nothing is allowed while a policy can't be used: {problem}",
            )
        without = next((each for each in (caller.policy, *caller.ancestors) if not _is_selected(each)), None)
        if without is not None:
            raise ModelFailure(
                HTTPStatus.FORBIDDEN,
                DecisionReason.NO_POLICY,
                f"no Policy selects agent {without.agent.metadata.name}, so nothing is allowed",
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
        ticket: Ticket | None = None
        cleared: _Cleared | None = None
        try:
            cleared, asked = await self._clear(request, caller, record)
            admitted = await self._control.admit(asked)
            if isinstance(admitted, Refused):
                record.refused = True
                raise _failure(admitted)
            ticket = admitted
            record.effect, record.reason = Effect.ALLOW, DecisionReason.ALLOWED
            record.outcome = CallOutcome.ABORTED
            await _while_connected(request, self._ask(caller, cleared, send, record))
        except (ModelFailure, Refusal) as refused:
            record.reason = refused.reason if isinstance(refused, ModelFailure) else refused.code
            record.outcome = CallOutcome.REFUSED if record.effect is Effect.DENY else CallOutcome.FAILED
            if ticket is None and not record.refused:
                self._control.refuse(
                    _asked_in_vain(caller, record), Refused(Effect.DENY, record.reason, refused.message)
                )
            raise
        finally:
            if ticket is not None and cleared is not None:
                self._finish(ticket, cleared.reservation, record)
            self._write(caller, record)

    async def _clear(
        self, request: HttpRequest, caller: Caller, record: _Record
    ) -> tuple[_Cleared, AskedCall]:
        """Return the request as it may be sent, and what it asks of the store.

        Raises:
            ModelFailure: it may not be sent.
            Refusal: it can't be read.
        """
        model, bounds = self._model(caller)
        record.model = model.metadata.name
        obligations = obligations_of(caller)
        body = await request.json(self._max_json_depth)
        default = DEFAULT_MAX_OUTPUT_TOKENS if counts_tokens(obligations, caller.task) else None
        completion = prepare(body, model, bounds, default)
        said = body if isinstance(body, dict) else {}
        record.digest = arguments_digest(said)
        inspector = inspector_for(obligations.data)
        sendable = await request_checked(caller, obligations.data, inspector, completion.body)
        prompt_tokens = most_prompt_tokens(completion.body)
        reservation = reserve(model, obligations, caller.task, prompt_tokens, completion.max_output_tokens)
        asked = AskedCall(
            caller=caller,
            subject=Subject.MODEL,
            name=record.model,
            action=ACTION,
            obligations=obligations,
            arguments_digest=record.digest,
            likeness=likeness(said.get("messages")),
            tokens=reservation.tokens if isinstance(reservation, Reservation) else 0,
            cost_micro_usd=reservation.cost_micro_usd if isinstance(reservation, Reservation) else 0,
            data_classes=sendable.found if isinstance(sendable, Inspected) else frozenset(),
        )
        if isinstance(sendable, Refused):
            raise self._refuse(asked, sendable, record)
        if isinstance(reservation, Refused):
            raise self._refuse(asked, reservation, record)
        content = orjson.dumps(sendable.value)
        return _Cleared(model, completion, content, obligations, inspector, reservation), asked

    def _refuse(self, asked: AskedCall, refused: Refused, record: _Record) -> ModelFailure:
        self._control.refuse(asked, refused)
        record.refused = True
        return _failure(refused)

    async def _ask(self, caller: Caller, cleared: _Cleared, send: Send, record: _Record) -> None:
        """Send the request on and the answer back.

        Raises:
            ModelFailure: there is no answer, and nothing was sent yet.
        """
        streams = cleared.completion.streams
        try:
            target = outbound.target_of(self._registry, cleared.model)
            record.sent_at = self._clock()
            response = await self._http.request(
                "POST",
                target.url.rstrip("/") + "/chat/completions",
                {
                    "Content-Type": "application/json",
                    "Accept": "text/event-stream" if streams else "application/json",
                    **target.authorization(),
                },
                cleared.content,
                self._waits,
            )
            try:
                await self._answer(response, target, caller, cleared, send, record)
            finally:
                response.release()
        except UpstreamError as error:
            record.released = not error.maybe_done
            raise answer.failure_from(error) from None

    async def _answer(
        self,
        response: Response,
        target: Target,
        caller: Caller,
        cleared: _Cleared,
        send: Send,
        record: _Record,
    ) -> None:
        outbound.check_encoding(response)
        if response.status != HTTPStatus.OK:
            content = await outbound.read_all(response, _MAX_ERROR_BYTES)
            if is_undone(response.status):
                record.usage = NOTHING_USED
            retry_after = response.headers.get("retry-after", "")
            failure = answer.failure_of(response.status, content, retry_after, target.gives_away)
            raise self._checked(failure, caller, cleared, record)
        streams = cleared.completion.streams
        expected = "text/event-stream" if streams else "application/json"
        if outbound.media_type(response) != expected:
            raise UpstreamError(
                RefusalCode.UPSTREAM_INVALID, f"its answer is not {expected}", maybe_done=True
            )
        if streams:
            events = self._events(response, target, caller, cleared, record)
            await send_stream(send, events, headers=(_EVENTS,))
            return
        value, choices = answer.read_value(await outbound.read_all(response, self._max_response_bytes))
        record.usage = answer.usage_of(value)
        seen = seen_in(choices)
        record.seen = lambda: seen
        checked = await choices_checked(caller, cleared.inspector, choices)
        if isinstance(checked, Refused):
            self._control.announce(caller, checked)
            raise _failure(checked)
        record.found = checked.found
        if cleared.inspector.looks_into_responses:
            value = answer.known_fields(value)
        value["choices"] = checked.value
        await send_json(send, answer.written(value, target.gives_away))
        record.outcome = CallOutcome.ANSWERED

    def _checked(
        self, failure: ModelFailure, caller: Caller, cleared: _Cleared, record: _Record
    ) -> ModelFailure:
        """Return an error of the model as the agent may be told of it: it may quote what it was asked or knows."""
        checked, record.found = checked_failure(cleared.inspector, failure)
        if isinstance(checked, Refused):
            self._control.announce(caller, checked)
            return _failure(checked)
        return checked

    async def _events(
        self, response: Response, target: Target, caller: Caller, cleared: _Cleared, record: _Record
    ) -> AsyncIterator[bytes]:
        """Yield the stream's events; a failure, since the answer has begun, is its last event."""
        parser = EventParser(self._max_response_bytes)
        output = OutputStream(
            cleared.inspector,
            bounds_of(cleared.obligations, cleared.reservation),
            target.gives_away,
            shows_usage=cleared.completion.shows_usage,
            credential=target.credential,
        )
        record.seen = output.seen
        try:
            async for received in outbound.chunks(response, self._max_response_bytes):
                given_on = b""
                for data in parser.feed(received):
                    content, ends = await event_checked(caller, output, data)
                    record.found = output.found
                    given_on += content
                    if ends:
                        # Counts on the way are of what was said so far: an agent that leaves early saves nothing.
                        record.usage = output.usage
                        record.outcome = CallOutcome.ANSWERED
                        yield given_on
                        return
                yield given_on
            yield await rest_checked(caller, output)
        except (UpstreamError, EventTooLargeError, OutputCutError) as error:
            failure = self._cut(error, caller)
            record.found = output.found
            record.reason, record.outcome = failure.reason, CallOutcome.FAILED
            yield answer.error_event(failure)
            return
        record.usage = output.usage
        record.outcome = CallOutcome.ANSWERED

    def _cut(
        self, error: UpstreamError | EventTooLargeError | OutputCutError, caller: Caller
    ) -> ModelFailure:
        if isinstance(error, OutputCutError):
            self._control.announce(caller, error.refused)
            return _failure(error.refused)
        return answer.failure_from(
            error if isinstance(error, UpstreamError) else too_large(self._max_response_bytes)
        )

    def _finish(self, ticket: Ticket, reservation: Reservation, record: _Record) -> None:
        # What the model did not count stays charged as it was reserved: an agent that leaves early saves nothing.
        usage = settled(reservation, record.usage, record.seen())
        self._control.finish(
            ticket,
            Finished(
                record.outcome,
                record.reason,
                self._clock() - record.started_at,
                released=record.released or record.sent_at is None,
                tokens=tokens_of(usage),
                cost_micro_usd=None if usage is None else reservation.cost_of(usage),
                data_classes=record.found,
            ),
        )

    def _write(self, caller: Caller, record: _Record) -> None:
        now = self._clock()
        usage = record.usage or NOTHING_USED
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
                arguments_digest=record.digest,
                upstream_seconds=0 if record.sent_at is None else now - record.sent_at,
                prompt_tokens=usage.prompt,
                completion_tokens=usage.completion,
            )
        )


def _asked_in_vain(caller: Caller, record: _Record) -> AskedCall:
    """Return the record of a request that can't be sent at all."""
    return AskedCall(
        caller=caller,
        subject=Subject.MODEL,
        name=record.model,
        action=ACTION,
        arguments_digest=record.digest,
    )


def _failure(refused: Refused) -> ModelFailure:
    return ModelFailure.of(refusal_of(refused))


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


def _is_selected(policy: EffectivePolicy) -> bool:
    """Whether some Policy selects the agent: without one it may use no model either."""
    return any(layer.kind == LOWER_LAYER for layer in policy.layers)
