"""Each field of a policy that bears on model requests, one case each: requests to a real server, and what becomes of them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import httpx2
import pytest
from pydantic import JsonValue
from starlette.types import Send

from aos.gateway.caller import Caller
from aos.model.agent import Agent
from aos.model.base import JsonObject
from aos.model.cluster_policy import ClusterPolicy
from aos.model.model import Prices
from aos.model.policy import Policy
from aos.policy.effective import PolicyInputs, effective_policy
from tests.unit.gateway_mcp.make import ALLOW_ALL, NAMESPACE, agent, caller, in_run, task
from tests.unit.gateway_models.world import Front, front, respond, whole

CARD = "4111 1111 1111 1111"
MAIL = "mira.solberg@example.org"
PRICES: Final = Prices(input_micro_usd=1_000_000, output_micro_usd=1_000_000)
"""One micro-USD for each token."""


@dataclass(frozen=True)
class Asked:
    """One request, and the code of its refusal, empty if it is answered; ``run`` is the step that its Task is for."""

    reason: str = ""
    prompt: str = "Hello"
    task: str = "t1"
    by: str = "enricher"
    run: JsonObject | None = None


@dataclass(frozen=True)
class Case:
    """What policies say, and requests one after the other.

    Attributes:
        parts: of the Policy's spec.
        asked: the requests.
        cluster: parts of a ClusterPolicy's spec; None for none.
        answer: what the model says.
        says: what stands in the last answer.
        hides: what stands neither in an answer nor in a request that reaches the model.
        sent: how many requests reach the model; None for those that are answered.
    """

    parts: Mapping[str, JsonValue]
    asked: Sequence[Asked]
    cluster: Mapping[str, JsonValue] | None = None
    answer: str = "Hello"
    says: str = ""
    hides: str = ""
    sent: int | None = None


GIVEN, OTHER = Asked(), Asked(prompt="Good day")
LIMITED, SPENT = Asked("LimitExceeded", "third"), Asked("BudgetExceeded", "third")
NOBODY, SOMEBODY = [Asked("NoPolicy")], [GIVEN]
BADGE: JsonObject = {"name": "badge", "regex": "B-[0-9]+"}
STEP, NEXT_STEP = Asked(task="t3", run=in_run()), Asked(task="t4", by="other", run=in_run("send"))


def spending(**most: JsonValue) -> Sequence[Asked]:
    """Requests of two steps of a run that may spend so much."""
    first, second = replace(STEP, run=in_run(**most)), replace(NEXT_STEP, run=in_run("send", **most))
    return [first, GIVEN, replace(second, reason="BudgetExceeded")]


def limit(**parts: JsonValue) -> JsonObject:
    return {"limits": [{"name": "few", "calls": 1, "per": "1h", **parts}]}


def budget(**parts: JsonValue) -> JsonObject:
    return {"budgets": [{"name": "small", "per": "1h", **parts}]}


def selecting(key: str, operator: str, *values: JsonValue) -> JsonObject:
    given: JsonObject = {"values": list(values)} if values else {}
    return {"matchExpressions": [{"key": key, "operator": operator, **given}]}


def under(namespaces: JsonObject) -> JsonObject:
    return {"namespaces": namespaces, **limit()}


CASES: Mapping[str, Sequence[Case]] = {
    "agents.matchLabels": (
        Case({"agents": {"matchLabels": {"territory": "amer"}}}, NOBODY),
        Case({"agents": {"matchLabels": {"territory": "emea"}}}, SOMEBODY),
    ),
    "agents.matchExpressions[].key": (
        Case({"agents": selecting("role", "Exists")}, NOBODY),
        Case({"agents": selecting("territory", "Exists")}, SOMEBODY),
    ),
    "agents.matchExpressions[].operator": (Case({"agents": selecting("role", "DoesNotExist")}, SOMEBODY),),
    "agents.matchExpressions[].values": (
        Case({"agents": selecting("territory", "In", "amer")}, NOBODY),
        Case({"agents": selecting("territory", "In", "emea")}, SOMEBODY),
    ),
    "namespaces.matchLabels": (
        Case({}, [GIVEN, LIMITED], under({"matchLabels": {"tier": "one"}})),
        Case({}, [GIVEN, OTHER], under({"matchLabels": {"tier": "two"}})),
    ),
    "namespaces.matchExpressions[].key": (
        Case({}, [GIVEN, OTHER], under(selecting("other", "Exists"))),
        Case({}, [GIVEN, LIMITED], under(selecting("tier", "Exists"))),
    ),
    "namespaces.matchExpressions[].operator": (
        Case({}, [GIVEN, LIMITED], under(selecting("other", "DoesNotExist"))),
    ),
    "namespaces.matchExpressions[].values": (
        Case({}, [GIVEN, LIMITED], under(selecting("tier", "In", "one"))),
    ),
    "limits[].name": (Case(limit(), [GIVEN, LIMITED], says="limit few"),),
    "limits[].calls": (Case(limit(calls=2), [GIVEN, OTHER, LIMITED]),),
    "limits[].per": (Case(limit(per="30m"), [GIVEN, LIMITED], says="enough is free in 18"),),
    "limits[].scope": (
        Case(limit(scope="Task"), [GIVEN, Asked(task="t2"), LIMITED]),
        Case(limit(scope="Namespace"), [GIVEN, Asked("LimitExceeded", by="other")]),
        Case(limit(scope="Workflow"), [STEP, GIVEN, replace(NEXT_STEP, reason="LimitExceeded")]),
    ),
    "budgets[].name": (Case(budget(calls=1), [GIVEN, SPENT], says="budget small"),),
    "budgets[].microUSD": (Case(budget(microUSD=150), [GIVEN, SPENT]),),
    "budgets[].tokens": (Case(budget(tokens=150), [GIVEN, SPENT]),),
    "budgets[].calls": (Case(budget(calls=2), [GIVEN, OTHER, SPENT]),),
    "budgets[].per": (Case(budget(calls=1, per="30m"), [GIVEN, SPENT], says="enough is free in 18"),),
    "budgets[].scope": (
        Case(budget(calls=1, scope="Task"), [GIVEN, Asked(task="t2"), SPENT]),
        Case(budget(calls=1, scope="Namespace"), [GIVEN, Asked("BudgetExceeded", by="other")]),
        Case(budget(calls=1, scope="Workflow"), [STEP, GIVEN, replace(NEXT_STEP, reason="BudgetExceeded")]),
    ),
    "Workflow.budget.microUSD": (
        Case({}, spending(microUSD=150), says="Workflow outreach's budget (run r1)"),
    ),
    "Workflow.budget.tokens": (Case({}, spending(tokens=150), says="Workflow outreach's budget (run r1)"),),
    "Workflow.budget.calls": (Case({}, spending(calls=1), says="Workflow outreach's budget (run r1)"),),
    "data.redact": (
        Case({"data": {"redact": ["pii"]}}, [Asked(prompt=f"write to {MAIL}")], hides=MAIL),
        Case({"data": {"redact": ["pii"]}}, [GIVEN], answer=f"write to {MAIL}", hides=MAIL),
    ),
    "data.block": (
        Case({"data": {"block": ["payment"]}}, [Asked("DataBlocked", f"pay with {CARD}")], hides=CARD),
        Case({"data": {"block": ["payment"]}}, [Asked("DataBlocked")], answer=CARD, hides=CARD, sent=1),
    ),
    "data.in": (
        Case({"data": {"block": ["payment"], "in": ["Request"]}}, [GIVEN], answer=CARD, says=CARD),
        Case({"data": {"block": ["payment"], "in": ["Response"]}}, [Asked(prompt=f"pay with {CARD}")]),
    ),
    "data.patterns[].name": (
        Case(
            {"data": {"block": ["badge"], "patterns": [BADGE]}}, [Asked("DataBlocked", "B-7")], says="badge"
        ),
    ),
    "data.patterns[].regex": (
        Case({"data": {"redact": ["badge"], "patterns": [BADGE]}}, [Asked(prompt="B-7")], hides="B-7"),
    ),
    "data.maxRequestBytes": (
        Case({"data": {"maxRequestBytes": 256}}, [GIVEN, Asked("DataTooLarge", "x" * 300)]),
    ),
    "data.maxResponseBytes": (
        Case({"data": {"maxResponseBytes": 64}}, [Asked("DataTooLarge")], answer="x" * 100, sent=1),
    ),
    "loops.maxIdenticalCalls": (
        Case({"loops": {"maxIdenticalCalls": 1}}, [GIVEN, Asked("LoopDetected", "HELLO "), OTHER]),
    ),
    "loops.maxCallsPerTask": (
        Case({"loops": {"maxCallsPerTask": 1}}, [GIVEN, Asked("TooManyTaskCalls", "b"), Asked(task="t2")]),
    ),
}


def of(case: Case, asked: Asked) -> Caller:
    """Return who asks, under the policies of the case."""
    own = {"agents": {}, "rules": [ALLOW_ALL], **case.parts}
    above = [{"namespaces": {}, "rules": [ALLOW_ALL], **case.cluster}] if case.cluster is not None else []
    named = agent([], model={"name": "default", "maxOutputTokens": 32})
    who: Agent = named.model_copy(update={"metadata": named.metadata.model_copy(update={"name": asked.by})})
    inputs = PolicyInputs(
        agent=who,
        namespace_labels={"tier": "one"},
        tools={},
        policies=[Policy.parse({"metadata": {"name": "own", "namespace": NAMESPACE}, "spec": own})],
        cluster_policies=[
            ClusterPolicy.parse({"metadata": {"name": "above"}, "spec": spec}) for spec in above
        ],
    )
    return caller(effective_policy(inputs), task(asked.task, f"{asked.task}-{asked.by}", asked.run))


async def ask(here: Front, case: Case, asked: Asked) -> httpx2.Response:
    here.caller = of(case, asked)
    messages: list[JsonValue] = [{"role": "user", "content": asked.prompt}]
    answer = await here.post(json.dumps({"model": "default", "messages": messages}).encode())
    await here.rest()
    return answer


@pytest.mark.parametrize(
    ("path", "case"),
    [
        pytest.param(path, case, id=f"{path}-{number}")
        for path, cases in CASES.items()
        for number, case in enumerate(cases)
    ],
)
async def test_a_field_holds_model_requests(path: str, case: Case) -> None:
    async def on_request(_: JsonObject, send: Send) -> None:
        # It reports most of what was reserved, so that a budget of about two requests ends with the second.
        usage: JsonObject = {"prompt_tokens": 8, "completion_tokens": 32, "total_tokens": 40}
        await respond(send, 200, {**whole(case.answer), "usage": usage})

    said = ""
    async with front() as here:
        known = here.registry.model_objects["default"]
        spec = known.spec.model_copy(update={"prices": PRICES})
        here.registry.model_objects["default"] = known.model_copy(update={"spec": spec})
        here.model.on_request = on_request
        for asked in case.asked:
            answer = await ask(here, case, asked)
            said = answer.text
            code = "" if answer.status_code == 200 else answer.json()["error"]["code"]
            assert code == asked.reason, f"{path}: {said}"
        sent = [json.dumps(body) for _, _, body in here.model.requests]
    assert case.says in said
    assert not case.hides or case.hides not in said + "".join(sent)
    answered = sum(not asked.reason for asked in case.asked)
    assert len(sent) == (answered if case.sent is None else case.sent)
