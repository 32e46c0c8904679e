"""Objects that the API server stores and this version can't read: said on the object, so that somebody mends it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from pydantic import JsonValue, ValidationError

from aos.model.conditions import ConditionType, Reason
from aos.model.meta import Condition, ConditionStatus, ObjectMeta
from aos.reconcile.conditions import as_json, conditions, no, unchanged
from aos.reconcile.plan import Plan
from aos.reconcile.transitions import ACCEPTING, transitions

REPORTED_KINDS: Final = ("Agent", "Tool", "Model", "Policy", "ClusterPolicy", "Workflow")
"""A Task or a WorkflowRun is left as it is: its end would be final, and a newer version may well read it."""

_KEPT: Final = ("reliability", "triggers")
"""What stands nowhere else: server-side apply drops what is not said again."""


def reconcile_unreadable(
    metadata: ObjectMeta, status: Mapping[str, JsonValue], problem: str, now: datetime
) -> Plan:
    """Return the status that says why the object is not used."""
    before = _readable(status.get("conditions"))
    verdicts = {
        ConditionType.ACCEPTED: no(Reason.INVALID, problem),
        ConditionType.READY: no(Reason.NOT_ACCEPTED, problem),
    }
    after = conditions(before, verdicts, metadata.generation, now)
    if unchanged(before, after) and status.get("observedGeneration") == metadata.generation:
        return Plan()
    kept = {name: status[name] for name in _KEPT if name in status}
    return Plan(
        status={"observedGeneration": metadata.generation, "conditions": list(as_json(after)), **kept},
        events=transitions(before, after, ACCEPTING),
    )


def problem_of(error: ValidationError) -> str:
    """Return which fields are wrong and why, without their values."""
    found = [
        f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}"
        for item in error.errors(include_url=False, include_input=False, include_context=False)
    ]
    return "; ".join(found[:3])


def _readable(raw: JsonValue) -> tuple[Condition, ...]:
    found = []
    for item in raw if isinstance(raw, list) else []:
        try:
            found.append(Condition.model_validate(item))
        except ValidationError:
            continue
    return tuple(item for item in found if item.status in ConditionStatus)
