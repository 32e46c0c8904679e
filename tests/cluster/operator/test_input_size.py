"""How much a Task or a run may be given, on a real API server."""

import orjson
import pytest

from aos.kube.errors import Forbidden
from aos.kube.resources import TASKS, WORKFLOW_RUNS, Resource
from aos.model.base import JsonObject
from aos.model.structural import MAX_INPUT_BYTES
from tests.cluster.operator.rig import Rig

REFERENCES: dict[str, JsonObject] = {
    "tasks": {"agentRef": {"name": "enricher"}},
    "workflowruns": {"workflowRef": {"name": "outreach"}},
}
DIGITS: JsonObject = {"a": [1] * ((MAX_INPUT_BYTES - 7) // 2)}
"""What CEL writes longest beside JSON."""


def spec(resource: Resource, given: JsonObject) -> JsonObject:
    return {**REFERENCES[resource.plural], "input": given}


@pytest.mark.parametrize("resource", [TASKS, WORKFLOW_RUNS], ids=lambda one: one.plural)
async def test_what_is_small_enough_as_json_is_taken_whatever_it_is_made_of(
    rig: Rig, resource: Resource
) -> None:
    pairs: JsonObject = {"rows": {f"{number:05}": number % 10 for number in range(MAX_INPUT_BYTES // 10 - 2)}}
    texts: JsonObject = {
        "text": ['"\\\n\x00é'] * (MAX_INPUT_BYTES // 20),
        "none": None,
        "yes": True,
        "part": 0.1,
    }
    for name, given in (("digits", DIGITS), ("pairs", pairs), ("texts", texts), ("nothing", {})):
        assert len(orjson.dumps(given)) <= MAX_INPUT_BYTES
        await rig.make(resource, name, spec(resource, given))


@pytest.mark.parametrize("resource", [TASKS, WORKFLOW_RUNS], ids=lambda one: one.plural)
@pytest.mark.parametrize(
    "given",
    [
        {"text": "x" * (MAX_INPUT_BYTES * 2)},
        {"text": "é" * MAX_INPUT_BYTES},
        {"a": {"b": [{"c": [["x" * 1000]] * 600}]}},
        {"rows": {f"{number:09}": number for number in range(40_000)}},
    ],
    ids=["text", "other letters", "deep", "names"],
)
async def test_what_is_far_too_large_is_refused_by_its_path_and_bound(
    rig: Rig, resource: Resource, given: JsonObject
) -> None:
    with pytest.raises(Forbidden, match=f"spec.input may have {MAX_INPUT_BYTES} bytes as JSON: give less"):
        await rig.make(resource, "large", spec(resource, given))
