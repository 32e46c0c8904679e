"""The models' endpoint between a real client and a real server that answers as a test says."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import httpx2
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionUserMessageParam
from pydantic import JsonValue
from starlette.types import Receive, Scope, Send

from aos.audit.event import AuditEvent
from aos.gateway.caller import Caller
from aos.gateway.http import ClientDisconnected, HttpRequest
from aos.gateway.models.endpoint import ModelEndpoint
from aos.gateway.settings import GatewaySettings
from aos.gateway.upstream.outbound import open_client
from aos.model.base import JsonObject
from aos.model.policy import Policy
from aos.model.task import Ancestor
from aos.policy.effective import EffectivePolicy, PolicyInputs, effective_policy
from tests.unit.agent.serving import serve
from tests.unit.gateway_control.world import Held, controlled, opened
from tests.unit.gateway_mcp.make import ALLOW_ALL, NAMESPACE, KeptJournal, StubRegistry, agent, caller, merged
from tests.unit.gateway_models.make import CREDENTIAL, model

SETTINGS = GatewaySettings(namespace="aos-system", upstream_timeout_seconds=20, max_response_bytes=4096)
HELLO: list[ChatCompletionUserMessageParam] = [{"role": "user", "content": "Hello"}]
USAGE: JsonObject = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


@dataclass
class ScriptedModel:
    """A model whose requests are kept, and which answers as a test says."""

    requests: list[tuple[str, dict[str, str], JsonObject]] = field(default_factory=list)
    on_request: Callable[[JsonObject, Send], Awaitable[None]] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = json.loads((await receive()).get("body", b"{}"))
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.requests.append((scope["path"], headers, body))
        if self.on_request is not None:
            await self.on_request(body, send)
        elif body.get("stream"):
            await stream(send, delta("Hel"), delta("lo"), counted(), "[DONE]")
        else:
            await respond(send, 200, whole("Hello"))


def whole(text: str) -> JsonObject:
    message: JsonObject = {"role": "assistant", "content": text}
    return {
        "id": "c1",
        "object": "chat.completion",
        "created": 1,
        "model": "scripted-1",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": USAGE,
    }


def chunk(choices: list[JsonValue], **more: JsonValue) -> JsonObject:
    return {
        "id": "c1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "scripted-1",
        "choices": choices,
        **more,
    }


def delta(text: str) -> JsonObject:
    return chunk([{"index": 0, "delta": {"content": text}, "finish_reason": None}], usage=None)


def counted() -> JsonObject:
    return chunk([], usage=USAGE)


async def respond(
    send: Send, status: int, body: JsonObject | bytes, kind: str = "application/json", **headers: str
) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    said = [(b"content-type", kind.encode())]
    said += [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": said})
    await send({"type": "http.response.body", "body": content})


async def stream(send: Send, *events: JsonObject | str) -> None:
    headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for event in events:
        data = event if isinstance(event, str) else json.dumps(event)
        await send({"type": "http.response.body", "body": f"data: {data}\n\n".encode(), "more_body": True})
    await send({"type": "http.response.body", "body": b""})


@dataclass
class Front:
    """The endpoint behind a real server, for one caller at a time."""

    endpoint: ModelEndpoint
    registry: StubRegistry
    journal: KeptJournal
    held: Held
    model: ScriptedModel
    caller: Caller
    url: str = ""
    left: asyncio.Event = field(default_factory=asyncio.Event)
    busy: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = HttpRequest(scope, receive, max_body_bytes=65_536, timeout_seconds=10)
        self.busy += 1
        try:
            await self.endpoint.handle(request, self.caller, send)
        except ClientDisconnected:
            self.left.set()
        finally:
            self.busy -= 1

    async def rest(self) -> None:
        """Return once every request is over and settled: an answer may arrive a little before."""
        while self.busy:  # noqa: ASYNC110 - it ends within a few turns of the event loop
            await asyncio.sleep(0.001)
        await self.held.settled()

    async def rows(self) -> list[AuditEvent]:
        """Return what is on record, in order."""
        await self.rest()
        return await self.held.rows()

    @asynccontextmanager
    async def client(self) -> AsyncGenerator[AsyncOpenAI]:
        async with AsyncOpenAI(
            base_url=f"{self.url}/v1",
            api_key="the-agents-own",
            max_retries=0,
            default_headers={"Cookie": "agent=1", "X-Agent": "1"},
            organization="of-the-agent",
        ) as client:
            yield client

    async def ask(self, *, stream: bool = False) -> httpx2.Response:
        messages: list[JsonValue] = [{"role": "user", "content": "Hello"}]
        body: JsonObject = {"model": "default", "messages": messages, "stream": stream}
        return await self.post(json.dumps(body).encode())

    async def post(self, content: bytes, kind: str = "application/json") -> httpx2.Response:
        async with httpx2.AsyncClient() as http:
            return await http.post(
                f"{self.url}/v1/chat/completions", content=content, headers={"Content-Type": kind}
            )


def calling(bounds: JsonObject | None, *, suspend: bool = False) -> Caller:
    return caller(merged([], ALLOW_ALL, of=agent([], model=bounds, suspend=suspend)))


@asynccontextmanager
async def front() -> AsyncGenerator[Front]:
    scripted = ScriptedModel()
    async with (
        serve(scripted) as url,
        open_client(SETTINGS) as http,
        opened() as store,
        controlled(store, SETTINGS) as held,
    ):
        registry = StubRegistry(credentials={"model-credentials": CREDENTIAL})
        registry.model_objects["default"] = model(f"{url}/v1")
        journal = KeptJournal()
        endpoint = ModelEndpoint(registry, http, held.calls, journal, SETTINGS)
        made = Front(endpoint, registry, journal, held, scripted, calling({"name": "default"}))
        async with serve(made) as address:
            made.url = address
            yield made


def bounded(
    bounds: JsonObject | None = None, *, ancestors: tuple[EffectivePolicy, ...] = (), **spec: JsonValue
) -> Caller:
    """Return a caller under a policy with ``spec``."""
    rules: JsonValue = [{"name": "all", "effect": "Allow", "tools": [{"name": "*"}]}]
    held = Policy.parse(
        {
            "metadata": {"name": "baseline", "namespace": NAMESPACE},
            "spec": {"agents": {}, "rules": rules, **spec},
        }
    )
    made = effective_policy(
        PolicyInputs(
            agent=agent([], model=bounds or {"name": "default"}),
            namespace_labels={},
            tools={},
            policies=[held],
        )
    )
    found = caller(made)
    lineage = tuple(
        Ancestor(agent=item.agent.metadata.name, task=f"t{number}", task_uid=f"u{number}")
        for number, item in enumerate(ancestors)
    )
    said = found.task.spec.model_copy(update={"lineage": lineage})
    return replace(found, task=found.task.model_copy(update={"spec": said}), ancestors=ancestors)
