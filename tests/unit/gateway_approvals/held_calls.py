"""Held calls as the gateway makes them, by a Tool whose Writes can be previewed."""

from pydantic import JsonValue

from aos.gateway.approvals.held import HeldCall
from aos.gateway.control.asked import AskedCall
from aos.gateway.journal import Subject, arguments_digest
from aos.model.base import JsonObject
from aos.model.tool import Tool
from aos.policy.approvals import BoundQuorum
from aos.policy.obligations import Obligations
from tests.unit.gateway_mcp.make import ALLOW_ALL, NAMESPACE, caller, merged

READ_BY_ID: JsonObject = {"action": "get_contact", "arguments": {"id": "${args.id}"}}
OUTBOUND = BoundQuorum("Policy baseline, approval outbound", 1)


def crm_tool(url: str = "http://crm.invalid/mcp", preview: JsonValue = None) -> Tool:
    """Return a CRM whose update_contact is previewed as said; by reading the contact, unless said."""
    update: JsonObject = {
        "name": "update_contact",
        "access": "Write",
        "risk": "Medium",
        "record": "contact/${args.id}",
        "preview": READ_BY_ID if preview is None else preview,
    }
    reads: list[JsonValue] = [
        {"name": name, "access": "Read", "risk": "Low"} for name in ("get_contact", "search_contacts")
    ]
    plain: JsonObject = {"name": "add_note", "access": "Write", "risk": "Low"}
    return Tool.parse(
        {
            "metadata": {"name": "crm", "namespace": NAMESPACE, "uid": "uid-crm", "generation": 1},
            "spec": {
                "type": "MCP",
                "url": url,
                "auth": {"secretRef": {"name": "crm-credentials", "key": "token"}},
                "actions": [*reads, update, plain],
            },
        }
    )


def held_call(
    arguments: JsonObject,
    tool: Tool | None = None,
    action: str = "update_contact",
    obligations: Obligations | None = None,
) -> HeldCall:
    """Return a call of ``action`` that waits for one person."""
    tool = tool or crm_tool()
    declared = next(item for item in tool.spec.actions if item.name == action)
    asked = AskedCall(
        caller=caller(merged([tool], ALLOW_ALL)),
        subject=Subject.TOOL,
        name="crm",
        action=action,
        obligations=obligations or Obligations(),
        arguments=arguments,
        arguments_digest=arguments_digest(arguments),
        declared=declared,
    )
    return HeldCall(asked, declared, "sha256:" + "0" * 64, (OUTBOUND,), record_name="contact/emea-0001")
