"""Short ways to write what commands read."""

from datetime import UTC, datetime

from pydantic import JsonValue

from aos.model.task import Task

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
Object = dict[str, JsonValue]


def condition(kind: str, status: str, reason: str, message: str = "") -> Object:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": 1,
        "lastTransitionTime": NOW.isoformat(),
    }


def task(*conditions: Object, name: str = "t1", agent: str = "enricher", **status: JsonValue) -> Task:
    return Task.parse(
        {
            "metadata": {"name": name, "namespace": "sales", "uid": f"uid-{name}"},
            "spec": {"agentRef": {"name": agent}},
            "status": {"conditions": list(conditions), **status},
        }
    )


def result(outcome: str = "Succeeded", output: Object | None = None) -> Object:
    return {"outcome": outcome, "output": output, "time": NOW.isoformat()}
