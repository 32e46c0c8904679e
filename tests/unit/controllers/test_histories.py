"""Which ended Tasks count towards an agent's history."""

from pydantic import JsonValue

from aos.controllers.histories import gather
from aos.controllers.objects import Objects
from aos.model.base import JsonObject
from tests.unit.controllers.make import TASK, raw

ENDED: JsonObject = {
    "conditions": [
        {
            "type": "Succeeded",
            "status": "True",
            "reason": "Completed",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
    ]
}
LINEAGE: JsonValue = [{"agent": "enricher", "task": "t1", "taskUID": "t1-uid"}]


def names(objects: Objects) -> list[str]:
    return sorted(task.name for task in gather(objects, "sales", "enricher"))


def test_what_an_open_task_handed_over_is_kept_until_that_one_ends() -> None:
    objects = Objects(lambda _: None)
    objects.observe("Task", raw("Task", "t1", TASK))
    objects.observe("Task", raw("Task", "t2", {**TASK, "lineage": LINEAGE}, status=ENDED))
    objects.observe("Task", raw("Task", "t3", TASK, status=ENDED))
    assert names(objects) == ["t3"]
    objects.observe("Task", raw("Task", "t1", TASK, version=2, status=ENDED))
    assert names(objects) == ["t1", "t2", "t3"]
    objects.forget("Task", "sales", "t1", "t1-uid")
    assert names(objects) == ["t2", "t3"]
