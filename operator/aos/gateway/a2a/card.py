"""The agent card: what an agent may know of one that it hands work to. Made here from the Agent, so nobody can forge it."""

from typing import Final

from pydantic import JsonValue

from aos.gateway.a2a.protocol import SCHEMAS_EXTENSION, Dialect
from aos.model.agent import Agent
from aos.model.base import JsonObject

_BINDING: Final = "JSONRPC"
_JSON: Final = "application/json"
_TEXT: Final = "text/plain"
_SCHEME: Final = "podToken"


def card_of(agent: Agent, url: str) -> JsonObject:
    """Return the card of ``agent``, which is reached at ``url`` and nowhere else.

    Its instructions, tools and policies are no business of other agents and are left out. The fields ``url``,
    ``preferredTransport`` and ``protocolVersion`` are those in which clients of A2A 0.3 look for the rest.
    """
    name, spec = agent.metadata.name, agent.spec
    schemas: JsonObject = {}
    if spec.input:
        schemas["input"] = spec.input.schema_
    if spec.output:
        schemas["output"] = spec.output.schema_
    description = f"Agent {name} of team {spec.owner.team}. Takes one JSON object and answers with one."
    return {
        "name": name,
        "description": description,
        "version": str(agent.metadata.generation),
        "url": url,
        "preferredTransport": _BINDING,
        "protocolVersion": f"{Dialect.LEGACY.value}.0",
        "supportedInterfaces": [
            {"url": url, "protocolBinding": _BINDING, "protocolVersion": dialect.value} for dialect in Dialect
        ],
        "provider": {"organization": spec.owner.team, "url": url},
        "capabilities": {
            "streaming": True,
            "pushNotifications": False,
            "extendedAgentCard": False,
            "extensions": [
                {
                    "uri": SCHEMAS_EXTENSION,
                    "description": "JSON Schemas of the input and of the output",
                    "required": False,
                    "params": schemas,
                }
            ],
        },
        "securitySchemes": {_SCHEME: {"httpAuthSecurityScheme": {"scheme": "Bearer", "bearerFormat": "JWT"}}},
        "securityRequirements": [{"schemes": {_SCHEME: {"list": []}}}],
        "defaultInputModes": [_JSON, _TEXT],
        "defaultOutputModes": [_JSON],
        "skills": _skills(agent, description),
    }


def _skills(agent: Agent, description: str) -> list[JsonValue]:
    """Return what the agent says that it can do; a card has one skill at least."""
    names = agent.spec.capabilities or (agent.metadata.name,)
    return [{"id": name, "name": name, "description": description, "tags": ["task"]} for name in names]
