"""A CRM that keeps count of what was done to it, an agent that updates it, and a gateway in between that may die at any time."""

import asyncio
import contextlib
import random
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import orjson
from mcp.server import MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from pydantic import JsonValue

from aos.kube.objects import child, children, text
from aos.model.base import JsonObject
from hack.ports import free_port
from tests.bench.gateway_world import BOUNDS
from tests.bench.processes import LOOPBACK, Program, running
from tests.unit.agent.serving import serve

UPDATES: list[JsonValue] = [
    {"name": "update_contact", "access": "Write", "risk": "Medium", "record": "contact/${args.id}"}
]
POLICY: JsonObject = {
    "agents": {},
    "rules": [{"name": "all", "effect": "Allow", "tools": [{"name": "crm"}]}],
    **BOUNDS,
}
READY_SECONDS = 60.0
SLOWEST_SECONDS = 0.02


@dataclass
class Crm:
    """What was done, by contact and in order, with the time.

    Attributes:
        made: changes, each with its time.
        arrived: told the contact when a call comes.
        done: told the contact when it has had its effect.
    """

    made: list[tuple[str, float]] = field(default_factory=list)
    arrived: Callable[[str], None] = lambda _: None
    done: Callable[[str], None] = lambda _: None

    def times(self, contact: str) -> int:
        """Return how often a contact was changed."""
        return sum(name == contact for name, _ in self.made)


@contextlib.asynccontextmanager
async def serving_crm(crm: Crm) -> AsyncIterator[str]:
    """Serve a real MCP server; give its URL."""
    server: MCPServer[None] = MCPServer(name="crm", log_level="ERROR")

    @server.tool()
    async def update_contact(id: str, stage: str) -> str:  # noqa: A002 - what the tool calls it
        """Change one contact."""
        crm.arrived(id)
        await asyncio.sleep(random.uniform(0, SLOWEST_SECONDS))  # noqa: S311 - a race, no secret
        crm.made.append((id, time.monotonic()))
        crm.done(id)
        await asyncio.sleep(random.uniform(0, SLOWEST_SECONDS))  # noqa: S311
        return f"{id} is {stage}"

    app = server.streamable_http_app(
        json_response=True,
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )
    async with serve(app) as url:
        yield url


@dataclass
class GatewayProcess:
    """A gateway that is killed and started anew on the same ports and store."""

    kubeconfig: Path
    folder: Path
    system: str
    settings: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    starts: int = 0
    _health: int = field(default_factory=free_port)
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    program: Program | None = None

    async def start(self) -> None:
        """Start it, and wait until it is ready.

        Raises:
            RuntimeError: it is not within a minute.
        """
        environment = {
            "KUBECONFIG": str(self.kubeconfig),
            "POD_NAMESPACE": self.system,
            "AOS_LISTEN_ADDRESS": LOOPBACK,
            "AOS_PORT": str(self.port),
            "AOS_ADMIN_PORT": str(free_port()),
            "AOS_HEALTH_PORT": str(self._health),
            "AOS_HOOK_PORT": "0",
            "AOS_STOP_DELAY_SECONDS": "0",
            "AOS_STORE_URL": f"sqlite://{self.folder}/store.db",
            **self.settings,
        }
        command = [str(Path(sys.executable).with_name("aos")), "gateway"]
        self.starts += 1
        self.program = self._stack.enter_context(
            running(f"gateway-{self.starts}", command, self.folder, environment)
        )
        until = time.monotonic() + READY_SECONDS
        async with aiohttp.ClientSession() as session:
            while not await self._is_ready(session):
                if time.monotonic() > until or self.program.process.poll() is not None:
                    raise RuntimeError(f"the gateway is not ready:\n{self.program.log_end()}")
                await asyncio.sleep(0.05)

    async def kill(self) -> None:
        """End it as a node that fails does."""
        if self.program is not None:
            self.program.process.kill()
            await asyncio.to_thread(self.program.process.wait)

    def close(self) -> None:
        """End it in good order."""
        self._stack.close()

    async def _is_ready(self, session: aiohttp.ClientSession) -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            async with session.get(f"http://{LOOPBACK}:{self._health}/readyz") as response:
                return response.status == 200
        return False


@dataclass(frozen=True)
class Said:
    """What the agent was answered; an empty reason where its call was made."""

    reason: str
    unknown: bool = False
    approval: str = ""


class Agent:
    """Makes calls as an agent's client does, without a stream of events."""

    def __init__(self, session: aiohttp.ClientSession, port: int, token: str) -> None:
        self._session = session
        self._url = f"https://{LOOPBACK}:{port}/mcp"
        self._token = token

    async def update(self, contact: str) -> Said | None:
        """Make one call; None where there was no answer, or one of a gateway that has just started."""
        meta: JsonObject = {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        }
        params: JsonObject = {
            "name": "crm.update_contact",
            "arguments": {"id": contact, "stage": "won"},
            "_meta": meta,
        }
        headers = {
            "Authorization": f"Bearer {self._token}",
            "Accept": "application/json",
            "Content-Type": "application/json",
            "Mcp-Protocol-Version": "2026-07-28",
            "Mcp-Method": "tools/call",
            "Mcp-Name": "crm.update_contact",
        }
        body = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
        try:
            async with self._session.post(self._url, data=body, headers=headers) as response:
                content = await response.read()
                if response.status != 200:
                    return None
        except aiohttp.ClientError:
            return None
        return _said(orjson.loads(content))


@contextlib.asynccontextmanager
async def agent_at(port: int, token: str) -> AsyncIterator[Agent]:
    """Give an agent that calls the gateway at ``port``."""
    connector = aiohttp.TCPConnector(ssl=False, limit=0)
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        yield Agent(session, port, token)


def _said(answer: JsonObject) -> Said:
    result = child(answer, "result")
    if not result.get("isError"):
        if not children(result, "content"):
            raise RuntimeError(f"the gateway answered {answer}")
        return Said("")
    said = child(result, "structuredContent")
    return Said(text(said, "reason"), said.get("outcomeUnknown") is True, text(said, "approval"))
