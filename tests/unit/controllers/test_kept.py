"""What objects leave behind in the operator once they are deleted."""

from collections.abc import Iterator, Sized

from pydantic import JsonValue

from aos.controllers.objects import Objects
from aos.kube.objects import key_of, text, uid_of
from aos.model.base import JsonObject
from tests.unit.controllers.make import AGENT, MODEL, POLICY, TASK, TOOL, raw
from tests.unit.controllers.test_executions import RUN, STARTED, STEP, WORKFLOW
from tests.unit.controllers.test_requests import LINEAGE, gate, request

NAMESPACES = ("sales", "hr")


def everything(namespace: str) -> list[JsonObject]:
    """Return objects of all kinds, and all ways in which one leads to another."""
    below: JsonObject = {"run": "r1", "runUID": "r1-uid", "rootUID": "r1-uid", "step": "enrich", "depth": 1}
    triggers: list[JsonValue] = [{"name": "nightly", "schedule": {"cron": "0 3 * * *"}}]
    own: list[tuple[str, str, JsonObject, JsonObject]] = [
        ("Agent", "enricher", {**AGENT, "delegates": ["enricher"]}, {}),
        ("Tool", "crm", TOOL, {}),
        ("Model", "default", MODEL, {}),
        ("Policy", "baseline", POLICY, {}),
        ("Task", "t1", TASK, {}),
        ("Task", "t2", {**TASK, "lineage": LINEAGE}, {}),
        ("Task", "t3", {**TASK, "run": STEP}, {}),
        ("Workflow", "outreach", {**WORKFLOW, "triggers": triggers}, {}),
        ("WorkflowRun", "r1", RUN, STARTED),
        ("WorkflowRun", "r2", {**RUN, "parent": below}, {}),
    ]
    made = [raw(kind, name, spec, status=status, namespace=namespace) for kind, name, spec, status in own]
    for item in (request("apr-1"), request("apr-2", task="t2", state="Approved"), gate()):
        metadata = item["metadata"]
        assert isinstance(metadata, dict)
        made.append({**item, "metadata": {**metadata, "namespace": namespace}})
    return made


def collections(of: object, path: str = "", seen: frozenset[int] = frozenset()) -> Iterator[tuple[str, int]]:
    """Yield every collection that an object holds, with how much is in it."""
    if id(of) in seen:
        return
    for name, value in vars(of).items():
        if type(value).__module__.startswith("aos.controllers") and hasattr(value, "__dict__"):
            yield from collections(value, f"{path}.{name}", seen | {id(of)})
        elif isinstance(value, Sized) and not isinstance(value, str | tuple):
            yield f"{path}.{name}", len(value)


def test_what_is_deleted_is_forgotten() -> None:
    objects = Objects(lambda _: None)
    before = dict(collections(objects))
    made = [item for namespace in NAMESPACES for item in everything(namespace)]
    for item in made:
        kind, key = text(item, "kind"), key_of(item)
        objects.observe(kind, item)
        assert objects.shelves[kind].problem(key.namespace, key.name) == ""
    assert sum(dict(collections(objects)).values()) > sum(before.values()) + len(made)
    for item in made:
        key = key_of(item)
        objects.forget(text(item, "kind"), key.namespace, key.name, uid_of(item))
    assert dict(collections(objects)) == before
