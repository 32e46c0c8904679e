import pytest
from pydantic import JsonValue, ValidationError

from aos.model.approval_request import ApprovalRequestSpec, AskedCall, NoCallError, RequestRun

DIGEST = f"sha256:{'0' * 64}"
CALL: dict[str, JsonValue] = {
    "agent": {"name": "enricher", "revision": "enricher-1"},
    "task": {"name": "t1", "uid": "t1-uid"},
    "tool": "crm",
    "action": "update_contact",
    "access": "Write",
    "risk": "Medium",
    "definitionDigest": DIGEST,
    "policyDigest": DIGEST,
}
RUN: dict[str, JsonValue] = {"name": "r1", "uid": "r1-uid", "workflow": "outreach", "step": "review"}


def spec(**fields: JsonValue) -> ApprovalRequestSpec:
    both: dict[str, JsonValue] = {
        "summary": "It asks.",
        "arguments": "{}",
        "argumentsDigest": DIGEST,
        "quorums": [{"rule": "risk Medium", "required": 1}],
        "expiresAt": "2026-01-01T04:00:00Z",
    }
    return ApprovalRequestSpec.model_validate({**both, **fields})


@pytest.mark.parametrize("kind", ["Call", "Review"])
def test_a_request_about_a_call_has_the_call(kind: str) -> None:
    asked = spec(type=kind, **CALL)
    assert isinstance(asked.subject, AskedCall)
    assert asked.asked_call == asked.subject
    assert asked.asked_call.title == "crm.update_contact"


def test_a_gate_has_its_run_and_no_call() -> None:
    asked = spec(type="Gate", run=RUN)
    assert asked.subject == RequestRun.model_validate(RUN)
    with pytest.raises(NoCallError, match="is about no call"):
        _ = asked.asked_call


@pytest.mark.parametrize("kind", ["Call", "Review"])
@pytest.mark.parametrize("missing", list(CALL))
def test_a_call_that_lacks_something_can_not_be_read(kind: str, missing: str) -> None:
    fields = {name: value for name, value in CALL.items() if name != missing}
    with pytest.raises(ValidationError, match="ask about a call"):
        spec(type=kind, **fields)


def test_a_call_has_no_run() -> None:
    with pytest.raises(ValidationError, match="ask about a call"):
        spec(type="Call", run=RUN, **CALL)


@pytest.mark.parametrize("stray", [*CALL.items(), ("record", "contact/7"), ("call", "gw-1/7")])
def test_a_gate_has_nothing_of_a_call(stray: tuple[str, JsonValue]) -> None:
    with pytest.raises(ValidationError, match="a Gate asks about a run"):
        spec(type="Gate", run=RUN, **dict([stray]))


def test_a_gate_without_a_run_can_not_be_read() -> None:
    with pytest.raises(ValidationError, match="a Gate asks about a run"):
        spec(type="Gate")
