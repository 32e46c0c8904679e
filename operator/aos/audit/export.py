"""Audit rows in the forms of others: OCSF 1.x API Activity, and CloudEvents 1.0. Pure."""

from datetime import datetime
from typing import Final

import orjson
from pydantic import JsonValue

from aos.audit.codec import encode_event
from aos.audit.event import AuditEvent, AuditRow, Phase, decider
from aos.model.base import JsonObject

OCSF_VERSION: Final = "1.3.0"
_CLASS_UID: Final = 6003
_CATEGORY_UID: Final = 6
_OTHER: Final = 99
_ACTIVITIES: Final = {"Read": (2, "Read"), "Write": (3, "Update"), "Delete": (4, "Delete")}
_DENIED: Final = (2, "Denied", 2, "Blocked")
_HELD: Final = (_OTHER, "Held", 14, "Delayed")
_ALLOWED: Final = (1, "Allowed", 1, "Allowed")
_APPROVED: Final = (1, "Allowed", 8, "Approved")
"""Action and disposition of the profile Security Control, each by number and name."""
_USER_NAME: Final = 4
"""Type of an observable."""
_CLOUD_EVENT_TYPE: Final = "dev.aos.audit"


def ocsf(row: AuditRow) -> JsonObject:
    """Return the row as an event of the OCSF class API Activity (6003)."""
    event = row.event
    activity_id, activity = _ACTIVITIES.get(event.access, (_OTHER, event.subject.capitalize() or "Other"))
    severity_id, severity = (1, "Informational") if event.effect != "Deny" else (3, "Medium")
    status_id, status = _status(event)
    action_id, action, disposition_id, disposition = _verdict(event)
    actor: JsonObject = {"app_name": event.agent or "aos"}
    if event.requested_by:
        actor["user"] = {"name": event.requested_by, "type_id": 0, "type": "Unknown"}
    return {
        "activity_id": activity_id,
        "activity_name": activity,
        "category_uid": _CATEGORY_UID,
        "category_name": "Application Activity",
        "class_uid": _CLASS_UID,
        "class_name": "API Activity",
        "type_uid": _CLASS_UID * 100 + activity_id,
        "type_name": f"API Activity: {activity}",
        "time": _milliseconds(event.time),
        "duration": event.duration_ms,
        "severity_id": severity_id,
        "severity": severity,
        "status_id": status_id,
        "status": status,
        "status_code": event.reason,
        "status_detail": event.outcome,
        "action_id": action_id,
        "action": action,
        "disposition_id": disposition_id,
        "disposition": disposition,
        "actor": actor,
        "api": {
            "operation": event.action or event.name,
            "service": {"name": event.name},
            "request": {"uid": event.call},
        },
        "src_endpoint": {"name": event.pod, "uid": event.pod_uid, "svc_name": event.agent},
        "resources": [
            {"name": event.record or event.name, "type": event.subject, "namespace": event.namespace}
        ],
        **_people(event),
        "metadata": {
            "version": OCSF_VERSION,
            "product": {"name": "AOS", "vendor_name": "AOS"},
            "uid": f"{row.chain}/{row.sequence}",
            "correlation_uid": event.call,
            "sequence": row.sequence,
            "profiles": ["security_control"],
            "tenant_uid": event.tenant,
        },
        "unmapped": {"chain": row.chain, "hash": row.hash, "previous": row.previous, "event": _said(event)},
    }


def cloud_event(row: AuditRow) -> JsonObject:
    """Return the row as a CloudEvent 1.0 in the JSON format."""
    event = row.event
    return {
        "specversion": "1.0",
        "id": f"{row.chain}/{row.sequence}",
        "source": f"/aos/namespaces/{event.namespace}" if event.namespace else "/aos",
        "type": f"{_CLOUD_EVENT_TYPE}.{event.phase.lower()}",
        "subject": f"{event.subject}/{event.name}" + (f"/{event.action}" if event.action else ""),
        "time": event.time,
        "datacontenttype": "application/json",
        "data": {
            "chain": row.chain,
            "sequence": row.sequence,
            "previous": row.previous,
            "hash": row.hash,
            "event": _said(event),
        },
    }


def _people(event: AuditEvent) -> JsonObject:
    """Return who decided, where people did, as what is searched for by value; their verdicts are in the row itself."""
    found: list[JsonValue] = [
        {
            "name": "unmapped.event.approvers",
            "type": "User Name",
            "type_id": _USER_NAME,
            "value": decider(entry),
        }
        for entry in event.approvers
    ]
    return {"observables": found} if found else {}


def _said(event: AuditEvent) -> JsonValue:
    said: JsonValue = orjson.loads(encode_event(event))
    return said


def _verdict(event: AuditEvent) -> tuple[int, str, int, str]:
    match event.effect:
        case "Deny":
            return _DENIED
        case "Hold":
            return _HELD
        case _:
            return _APPROVED if event.approvers else _ALLOWED


def _status(event: AuditEvent) -> tuple[int, str]:
    if event.phase is Phase.INTENT:
        return 0, "Unknown"
    if event.effect == "Hold":
        return _OTHER, "Held"
    if event.effect == "Deny" or event.outcome in {"Failed", "Refused", "Aborted", "ErrorAnswered"}:
        return 2, "Failure"
    return 1, "Success"


def _milliseconds(time: str) -> int:
    return round(datetime.fromisoformat(time).timestamp() * 1000)
