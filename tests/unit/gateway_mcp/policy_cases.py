"""Each field of Policy and ClusterPolicy: calls of agents to a system behind the gateway, whichever it is, and what becomes of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pydantic import JsonValue

from aos.model.base import JsonObject
from tests.unit.gateway_mcp.make import ALLOW_ALL, in_run

CARD = "4111 1111 1111 1111"
MAIL = "mira.solberg@example.org"
READ: JsonObject = {"name": "get_contact", "access": "Read", "risk": "Low", "costMicroUSD": 10}
WRITE: JsonObject = {
    "name": "update_contact",
    "access": "Write",
    "risk": "Medium",
    "dataClasses": ["pii"],
    "record": "contact/${args.id}",
}


@dataclass(frozen=True)
class Made:
    """One call, and what it comes to.

    Attributes:
        action: what is called.
        reason: of the refusal; empty if it is answered.
        arguments: what it is called with.
        task: whose call it is.
        by: the agent.
        run: the step of a run that the Task is for; None for none.
    """

    action: str = "get_contact"
    reason: str = ""
    arguments: Mapping[str, JsonValue] = field(default_factory=lambda: {"id": "7"})
    task: str = "t1"
    by: str = "enricher"
    run: JsonObject | None = None


@dataclass(frozen=True)
class Case:
    """What a policy says in one field, and calls that show it.

    Attributes:
        parts: of the Policy's spec.
        calls: one after the other.
        cluster: parts of a ClusterPolicy's spec; None for none.
        result: what the system answers.
        says: what stands in the last answer.
        hides: what does not.
        window_seconds: how long the last call would have to wait; windows slide in steps, so it is no less and little more.
        sent: how many calls reach the system; None for those that are answered.
        asked: what the first quorum says that people are asked by; of times, in how many seconds they are.
    """

    parts: Mapping[str, JsonValue]
    calls: Sequence[Made]
    cluster: Mapping[str, JsonValue] | None = None
    result: JsonValue = "done"
    says: str = ""
    hides: str = ""
    window_seconds: int | None = None
    sent: int | None = None
    asked: Mapping[str, JsonValue] = field(default_factory=dict)


READ_IT, WRITE_IT = Made(), Made("update_contact")
NOT_READ, NOT_WRITTEN = Made(reason="NotAllowed"), Made("update_contact", "NotAllowed")
OTHER = Made(arguments={"id": "8"})
HELD = Made("update_contact", "ApprovalPending")
STEP, NEXT_STEP = Made(task="t3", run=in_run()), Made(task="t4", by="other", run=in_run("send"))


def refused(reason: str, **parts: str) -> Made:
    return Made(reason=reason, arguments={"id": "7", **parts})


def allow(**match: JsonValue) -> JsonObject:
    return {"rules": [{"name": "some", "effect": "Allow", "tools": [{"name": "crm", **match}]}]}


def limit(**parts: JsonValue) -> JsonObject:
    return {"limits": [{"name": "few", "calls": 1, "per": "1h", **parts}]}


def budget(**parts: JsonValue) -> JsonObject:
    return {"budgets": [{"name": "small", "per": "1h", **parts}]}


def spending(**most: JsonValue) -> Sequence[Made]:
    """Calls of two steps of a run that may spend so much."""
    first, second = replace(STEP, run=in_run(**most)), replace(NEXT_STEP, run=in_run("send", **most))
    return [first, READ_IT, replace(second, reason="BudgetExceeded")]


def projection(**match: JsonValue) -> JsonObject:
    return {"data": {"projections": [{"tools": [{"name": "crm", **match}], "fields": ["id"]}]}}


def approval(**parts: JsonValue) -> JsonObject:
    return {"approvals": [{"name": "outbound", "match": {"access": ["Write"]}, **parts}]}


def matching(**match: JsonValue) -> JsonObject:
    return {"approvals": [{"name": "outbound", "match": match}]}


def tools(**match: JsonValue) -> JsonObject:
    return matching(tools=[{"name": "crm", **match}])


def escalated(**approvers: JsonValue) -> JsonObject:
    escalation: JsonObject = {"after": "10m", "approvers": approvers or {"users": ["max"]}}
    return approval(approvers={"users": ["lena"]}, escalate=escalation)


def expression(operator: str, *values: JsonValue, key: str = "territory") -> JsonObject:
    given: JsonObject = {"values": list(values)} if values else {}
    return {"matchExpressions": [{"key": key, "operator": operator, **given}]}


WRITES_ONLY = [READ_IT, READ_IT, WRITE_IT, Made("update_contact", "LimitExceeded")]
CONTACT: JsonObject = {"id": "contact-7", "mail": MAIL}


def kept(parts: JsonObject, made: Made = READ_IT) -> Case:
    """Only the contact's id comes back."""
    return Case(parts, [made], result=CONTACT, says="contact-7", hides=MAIL)


def shown(parts: JsonObject, made: Made = READ_IT) -> Case:
    """The whole contact comes back."""
    return Case(parts, [made], result=CONTACT, says=MAIL)


LARGE: JsonValue = {"text": "x" * 200}

CASES: Mapping[str, Sequence[Case]] = {
    "agents.matchLabels": (
        Case({"agents": {"matchLabels": {"territory": "amer"}}}, [Made(reason="NoPolicy")]),
        Case({"agents": {"matchLabels": {"territory": "emea"}}}, [READ_IT]),
    ),
    "agents.matchExpressions[].key": (
        Case({"agents": expression("Exists", key="role")}, [Made(reason="NoPolicy")]),
        Case({"agents": expression("Exists")}, [READ_IT]),
    ),
    "agents.matchExpressions[].operator": (
        Case({"agents": expression("DoesNotExist")}, [Made(reason="NoPolicy")]),
        Case({"agents": expression("NotIn", "amer")}, [READ_IT]),
    ),
    "agents.matchExpressions[].values": (
        Case({"agents": expression("In", "amer")}, [Made(reason="NoPolicy")]),
        Case({"agents": expression("In", "amer", "emea")}, [READ_IT]),
    ),
    "namespaces.matchLabels": (
        Case({}, [NOT_WRITTEN], {"namespaces": {"matchLabels": {"tier": "one"}}, **allow(access=["Read"])}),
        Case({}, [WRITE_IT], {"namespaces": {"matchLabels": {"tier": "two"}}, **allow(access=["Read"])}),
    ),
    "namespaces.matchExpressions[].key": (
        Case({}, [NOT_WRITTEN], {"namespaces": expression("Exists", key="tier"), **allow(access=["Read"])}),
        Case({}, [WRITE_IT], {"namespaces": expression("Exists", key="other"), **allow(access=["Read"])}),
    ),
    "namespaces.matchExpressions[].operator": (
        Case({}, [NOT_WRITTEN], {"namespaces": expression("DoesNotExist"), **allow(access=["Read"])}),
    ),
    "namespaces.matchExpressions[].values": (
        Case(
            {}, [NOT_WRITTEN], {"namespaces": expression("In", "one", key="tier"), **allow(access=["Read"])}
        ),
        Case({}, [WRITE_IT], {"namespaces": expression("In", "two", key="tier"), **allow(access=["Read"])}),
    ),
    "rules[].name": (
        Case(
            {"rules": [ALLOW_ALL, {"name": "never-this", "effect": "Deny", "tools": [{"name": "*"}]}]},
            [Made(reason="DeniedByRule")],
            says="never-this",
        ),
    ),
    "rules[].effect": (
        Case(
            {"rules": [ALLOW_ALL, {"name": "no", "effect": "Deny", "tools": [{"name": "crm"}]}]},
            [Made(reason="DeniedByRule")],
        ),
    ),
    "rules[].tools[].name": (
        Case({"rules": [{"name": "a", "effect": "Allow", "tools": [{"name": "mail"}]}]}, [NOT_READ]),
        Case({"rules": [{"name": "a", "effect": "Allow", "tools": [{"name": "c*"}]}]}, [READ_IT]),
    ),
    "rules[].tools[].actions": (Case(allow(actions=["get_*"]), [READ_IT, NOT_WRITTEN]),),
    "rules[].tools[].access": (Case(allow(access=["Write"]), [NOT_READ, WRITE_IT]),),
    "rules[].tools[].risk": (Case(allow(risk=["Low"]), [READ_IT, NOT_WRITTEN]),),
    "rules[].tools[].dataClasses": (Case(allow(dataClasses=["pii"]), [NOT_READ, WRITE_IT]),),
    "rules[].when": (
        Case(
            {"rules": [{"name": "a", "effect": "Allow", "tools": [{"name": "*"}], "when": "args.id == '8'"}]},
            [NOT_READ, OTHER],
        ),
    ),
    "limits[].name": (Case(limit(), [READ_IT, Made(reason="LimitExceeded")], says="few"),),
    "limits[].calls": (Case(limit(calls=2), [READ_IT, OTHER, Made(reason="LimitExceeded")]),),
    "limits[].per": (
        Case(limit(per="30m"), [READ_IT, Made(reason="LimitExceeded")], window_seconds=1800),
        Case(limit(per="1h"), [READ_IT, Made(reason="LimitExceeded")], window_seconds=3600),
    ),
    "limits[].scope": (
        Case(limit(scope="Task"), [READ_IT, Made(task="t2"), Made(reason="LimitExceeded")]),
        Case(limit(scope="Agent"), [READ_IT, Made(task="t2", reason="LimitExceeded"), Made(by="other")]),
        Case(limit(scope="Namespace"), [READ_IT, Made(by="other", reason="LimitExceeded")]),
        Case(limit(scope="Workflow"), [STEP, READ_IT, replace(NEXT_STEP, reason="LimitExceeded")]),
        Case({}, [READ_IT, Made(by="other", reason="LimitExceeded")], {**limit(scope="Tenant")}),
    ),
    "limits[].tools[].name": (
        Case(limit(tools=[{"name": "mail"}]), [READ_IT, READ_IT]),
        Case(limit(tools=[{"name": "crm"}]), [READ_IT, Made(reason="LimitExceeded")]),
    ),
    "limits[].tools[].actions": (Case(limit(tools=[{"name": "*", "actions": ["update_*"]}]), WRITES_ONLY),),
    "limits[].tools[].access": (Case(limit(tools=[{"name": "*", "access": ["Write"]}]), WRITES_ONLY),),
    "limits[].tools[].risk": (Case(limit(tools=[{"name": "*", "risk": ["Medium"]}]), WRITES_ONLY),),
    "limits[].tools[].dataClasses": (
        Case(limit(tools=[{"name": "*", "dataClasses": ["pii"]}]), WRITES_ONLY),
    ),
    "budgets[].name": (Case(budget(calls=1), [READ_IT, Made(reason="BudgetExceeded")], says="small"),),
    "budgets[].microUSD": (
        Case(budget(microUSD=25), [READ_IT, READ_IT, Made(reason="BudgetExceeded"), WRITE_IT]),
    ),
    "budgets[].calls": (Case(budget(calls=2), [READ_IT, OTHER, Made(reason="BudgetExceeded")]),),
    "budgets[].per": (
        Case(budget(calls=1, per="2h"), [READ_IT, Made(reason="BudgetExceeded")], window_seconds=7200),
    ),
    "budgets[].scope": (
        Case(budget(calls=1, scope="Task"), [READ_IT, Made(task="t2"), Made(reason="BudgetExceeded")]),
        Case(budget(calls=1, scope="Namespace"), [READ_IT, Made(by="other", reason="BudgetExceeded")]),
        Case(budget(calls=1, scope="Workflow"), [STEP, READ_IT, replace(NEXT_STEP, reason="BudgetExceeded")]),
    ),
    "Workflow.budget.microUSD": (
        Case({}, spending(microUSD=15), says="Workflow outreach's budget (run r1)"),
    ),
    "Workflow.budget.calls": (Case({}, spending(calls=1), says="Workflow outreach's budget (run r1)"),),
    "data.redact": (Case({"data": {"redact": ["pii"]}}, [READ_IT], result=f"write to {MAIL}", hides=MAIL),),
    "data.block": (
        Case({"data": {"block": ["payment"]}}, [refused("DataBlocked", note=CARD)], sent=0),
        Case({"data": {"block": ["payment"]}}, [refused("DataBlocked")], result=CARD, hides=CARD, sent=1),
    ),
    "data.in": (
        Case({"data": {"block": ["payment"], "in": ["Request"]}}, [READ_IT], result=CARD, says=CARD),
        Case(
            {"data": {"block": ["payment"], "in": ["Response"]}},
            [Made(arguments={"id": "7", "note": CARD})],
            sent=1,
        ),
    ),
    "data.patterns[].name": (
        Case(
            {"data": {"block": ["badge"], "patterns": [{"name": "badge", "regex": "B-[0-9]+"}]}},
            [refused("DataBlocked", note="B-77")],
            says="badge",
            sent=0,
        ),
    ),
    "data.patterns[].regex": (
        Case(
            {"data": {"redact": ["badge"], "patterns": [{"name": "badge", "regex": "B-[0-9]+"}]}},
            [READ_IT],
            result="his is B-77, hers X-77",
            says="X-77",
            hides="B-77",
        ),
    ),
    "data.projections[].fields": (kept(projection()),),
    "data.projections[].tools[].name": (
        shown({"data": {"projections": [{"tools": [{"name": "mail"}], "fields": ["id"]}]}}),
    ),
    "data.projections[].tools[].actions": (
        kept(projection(actions=["get_*"])),
        shown(projection(actions=["update_*"])),
    ),
    "data.projections[].tools[].access": (
        kept(projection(access=["Read"])),
        shown(projection(access=["Write"])),
    ),
    "data.projections[].tools[].risk": (
        kept(projection(risk=["Low"])),
        shown(projection(risk=["High"])),
    ),
    "data.projections[].tools[].dataClasses": (
        kept(projection(dataClasses=["pii"]), WRITE_IT),
        shown(projection(dataClasses=["pii"])),
    ),
    "data.urls.allowHosts": (
        Case(
            {"data": {"urls": {"allowHosts": ["*.example.com"]}}},
            [
                Made(arguments={"id": "7", "note": "https://a.example.com/x"}),
                refused("UrlNotAllowed", note="https://example.org/x"),
            ],
            sent=1,
        ),
    ),
    "data.maxRequestBytes": (
        Case({"data": {"maxRequestBytes": 64}}, [READ_IT, refused("DataTooLarge", note="x" * 80)], sent=1),
    ),
    "data.maxResponseBytes": (
        Case({"data": {"maxResponseBytes": 64}}, [refused("DataTooLarge")], result=LARGE, sent=1),
    ),
    "loops.maxIdenticalCalls": (
        Case({"loops": {"maxIdenticalCalls": 2}}, [READ_IT, READ_IT, Made(reason="LoopDetected"), OTHER]),
    ),
    "loops.maxCallsPerTask": (
        Case({"loops": {"maxCallsPerTask": 1}}, [READ_IT, Made(reason="TooManyTaskCalls"), Made(task="t2")]),
    ),
    "conflicts.leaseSeconds": (
        Case(
            {"conflicts": {"leaseSeconds": 100}},
            [WRITE_IT, Made("update_contact", "RecordBusy", task="t2", by="other")],
            says="enricher",
            window_seconds=100,
        ),
    ),
    "conflicts.duplicateWindowSeconds": (
        Case(
            {"conflicts": {"duplicateWindowSeconds": 600}},
            [Made("update_contact"), Made("update_contact", task="t2")],
            sent=1,
        ),
    ),
    "approvals[].name": (
        Case(approval(), [READ_IT, HELD], asked={"rule": "Policy baseline, approval outbound"}),
    ),
    "approvals[].match.tools[].name": (
        Case(matching(tools=[{"name": "crm"}]), [HELD]),
        Case(matching(tools=[{"name": "erp"}]), [WRITE_IT]),
    ),
    "approvals[].match.tools[].actions": (Case(tools(actions=["update_*"]), [READ_IT, HELD]),),
    "approvals[].match.tools[].access": (Case(tools(access=["Write"]), [READ_IT, HELD]),),
    "approvals[].match.tools[].risk": (Case(tools(risk=["Medium"]), [READ_IT, HELD]),),
    "approvals[].match.tools[].dataClasses": (Case(tools(dataClasses=["pii"]), [READ_IT, HELD]),),
    "approvals[].match.access": (Case(matching(access=["Write"]), [READ_IT, HELD]),),
    "approvals[].match.risk": (Case(matching(risk=["Medium"]), [READ_IT, HELD]),),
    "approvals[].match.dataClasses": (Case(matching(dataClasses=["pii"]), [READ_IT, HELD]),),
    "approvals[].when": (
        Case(approval(when="args.id == '7'"), [HELD, Made("update_contact", arguments={"id": "8"})]),
        Case(approval(when="args.nothing == 1"), [HELD]),
    ),
    "approvals[].required": (Case(approval(required=3), [HELD], asked={"required": 3}),),
    "approvals[].approvers.groups": (
        Case(approval(approvers={"groups": ["leads"]}), [HELD], asked={"approvers": {"groups": ["leads"]}}),
    ),
    "approvals[].approvers.users": (
        Case(approval(approvers={"users": ["lena"]}), [HELD], asked={"approvers": {"users": ["lena"]}}),
    ),
    "approvals[].approvers.serviceAccounts": (
        Case(
            approval(approvers={"serviceAccounts": ["sales:bot"]}),
            [HELD],
            asked={"approvers": {"serviceAccounts": ["sales:bot"]}},
        ),
    ),
    "approvals[].timeout": (Case(approval(timeout="90m"), [HELD], asked={"expiresAt": 5400}),),
    "approvals[].samplePercent": (
        Case(approval(samplePercent=60), [READ_IT, HELD]),
        Case(approval(samplePercent=40), [READ_IT, WRITE_IT]),
        Case(approval(samplePercent=60, review="After"), [WRITE_IT], asked={"required": 1}),
    ),
    "approvals[].review": (
        Case(approval(review="Before"), [HELD]),
        Case(approval(review="After"), [WRITE_IT], asked={"rule": "Policy baseline, approval outbound"}),
    ),
    "approvals[].remindAfter": (Case(approval(remindAfter="20m"), [HELD], asked={"remindAt": 1200}),),
    "approvals[].escalate.after": (Case(escalated(), [HELD], asked={"escalatedAt": 600}),),
    "approvals[].escalate.approvers.groups": (
        Case(escalated(groups=["heads"]), [HELD], asked={"escalated": {"groups": ["heads"]}}),
    ),
    "approvals[].escalate.approvers.users": (
        Case(escalated(users=["max"]), [HELD], asked={"escalated": {"users": ["max"]}}),
    ),
    "approvals[].escalate.approvers.serviceAccounts": (
        Case(
            escalated(serviceAccounts=["sales:bot"]),
            [HELD],
            asked={"escalated": {"serviceAccounts": ["sales:bot"]}},
        ),
    ),
    "approvals[].onTimeout": (Case(approval(onTimeout="Reject"), [HELD, HELD]),),
    "autonomy.ceiling": (
        Case({"autonomy": {"ceiling": "Supervised"}}, [READ_IT, HELD], asked={"rule": "risk Medium"}),
        Case({"autonomy": {"ceiling": "Autonomous"}}, [READ_IT, WRITE_IT]),
    ),
}
