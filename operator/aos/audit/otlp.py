"""Signed heads as log records of OpenTelemetry (OTLP, JSON). Pure."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from pydantic import JsonValue

import aos
from aos.audit.signing import SignedHead
from aos.model.base import JsonObject

EVENT_NAME: Final = "aos.audit.anchor"
"""Of each record."""
_INFO: Final = 9


def anchor_records(heads: Iterable[SignedHead], namespace: str, observed_ns: int) -> JsonObject:
    """Return an ExportLogsServiceRequest of opentelemetry-proto with one record for each head.

    A record's body is the head as one line of JSON: the bodies, one a line, are a copy of the anchors that can be checked against.

    Args:
        heads: what is anchored.
        namespace: of the operator.
        observed_ns: when they were, in nanoseconds since 1970.
    """
    resource = _attributes(
        {
            "service.name": "aos-operator",
            "service.version": aos.__version__,
            "k8s.namespace.name": namespace,
        }
    )
    records: list[JsonValue] = [_record(head, observed_ns) for head in heads]
    scope: JsonObject = {"scope": {"name": "aos.audit"}, "logRecords": records}
    return {"resourceLogs": [{"resource": {"attributes": resource}, "scopeLogs": [scope]}]}


def _record(signed: SignedHead, observed_ns: int) -> JsonObject:
    head = signed.head
    return {
        "timeUnixNano": str(_nanoseconds(head.time, observed_ns)),
        "observedTimeUnixNano": str(observed_ns),
        "severityNumber": _INFO,
        "severityText": "INFO",
        "eventName": EVENT_NAME,
        "body": {"stringValue": signed.encode().decode()},
        "attributes": _attributes(
            {
                "event.name": EVENT_NAME,
                "aos.audit.chain": head.chain,
                "aos.audit.sequence": head.sequence,
                "aos.audit.hash": head.hash,
            }
        ),
    }


def _nanoseconds(time: str, otherwise: int) -> int:
    """Return a head's time; gateways write it, so that it may be none."""
    try:
        moment = datetime.fromisoformat(time)
    except ValueError:
        return otherwise
    return round(moment.timestamp() * 1_000_000) * 1_000


def _attributes(values: dict[str, str | int]) -> list[JsonValue]:
    return [{"key": name, "value": _value(value)} for name, value in values.items()]


def _value(value: str | int) -> JsonObject:
    # Protobuf's JSON has 64-bit integers as strings.
    return {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}
