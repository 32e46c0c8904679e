"""The names and numbers of MCP that the gateway uses, for the stateless era and for the one with sessions."""

from enum import StrEnum
from typing import Final

import orjson
from pydantic import JsonValue

from aos import __version__

MODERN_VERSION: Final = "2026-07-28"
SESSION_VERSIONS: Final = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
LATEST_SESSION_VERSION: Final = SESSION_VERSIONS[-1]
ASSUMED_VERSION: Final = "2025-03-26"
"""What a request without MCP-Protocol-Version speaks (2025-11-25, basic/transports)."""

HEADER_VERSION: Final = "MCP-Protocol-Version"
HEADER_METHOD: Final = "Mcp-Method"
HEADER_NAME: Final = "Mcp-Name"
HEADER_SESSION: Final = "Mcp-Session-Id"
HEADER_PARAM_PREFIX: Final = "Mcp-Param-"

META_VERSION: Final = "io.modelcontextprotocol/protocolVersion"
META_CLIENT_INFO: Final = "io.modelcontextprotocol/clientInfo"
META_CAPABILITIES: Final = "io.modelcontextprotocol/clientCapabilities"
META_SERVER_INFO: Final = "io.modelcontextprotocol/serverInfo"
META_REFUSED: Final = "aos.dev/refused"
"""In the result of a call that got none of its tool: why, as a code. What else such a result says is the gateway's own, then."""

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
HEADER_MISMATCH: Final = -32020
MISSING_CAPABILITY: Final = -32021
UNSUPPORTED_VERSION: Final = -32022

IMPLEMENTATION: Final[dict[str, JsonValue]] = {"name": "aos-gateway", "version": __version__}
"""How the gateway names itself to agents and to tools alike."""

RequestId = int | str


class Era(StrEnum):
    """How a peer speaks MCP: each request for itself, or after a handshake that may open a session."""

    MODERN = "modern"
    SESSION = "session"


class Method(StrEnum):
    """Methods that the gateway answers or asks for."""

    INITIALIZE = "initialize"
    INITIALIZED = "notifications/initialized"
    PING = "ping"
    DISCOVER = "server/discover"
    LIST_TOOLS = "tools/list"
    CALL_TOOL = "tools/call"


MODERN_REQUEST_META: Final = orjson.Fragment(
    orjson.dumps({META_VERSION: MODERN_VERSION, META_CLIENT_INFO: IMPLEMENTATION, META_CAPABILITIES: {}})
)
"""``_meta`` of each request that the gateway makes in the stateless era: its own, never the agent's."""
