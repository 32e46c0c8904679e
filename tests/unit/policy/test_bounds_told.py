from aos.model.tool import ToolAction
from aos.policy.bounds_told import told_bounds
from tests.unit.policy.make import merged, policy, rule, tool

EVERYTHING = policy(
    rule("a"),
    limits=[{"name": "calls", "calls": 60, "per": "1m", "scope": "Namespace"}],
    budgets=[
        {"name": "daily", "microUSD": 5, "tokens": 7, "per": "24h"},
        {"name": "task", "calls": 9, "scope": "Task"},
    ],
    data={
        "redact": ["pii"],
        "block": ["secret"],
        "in": ["Response"],
        "projections": [{"tools": [{"name": "crm"}], "fields": ["name", "id"]}],
        "urls": {"allowHosts": ["*.example.com"]},
        "maxRequestBytes": 100,
    },
    conflicts={"leaseSeconds": 60, "duplicateWindowSeconds": 30},
)


def told(declared: ToolAction, arguments: dict[str, str] | None = None) -> list[str]:
    effective = merged(EVERYTHING, tools=[tool(record="contact/${args.id}", costMicroUSD=200)])
    held = effective.obligations("crm", declared)
    return [f"{bound.name}: {bound.says}" for bound in told_bounds(held, declared, arguments or {})]


def action(name: str) -> ToolAction:
    found = merged(policy(rule("a")), tools=[tool(record="contact/${args.id}", costMicroUSD=200)]).action(
        "crm", name
    )
    assert found is not None
    return found


def test_every_bound_is_told_in_words() -> None:
    assert told(action("update_contact"), {"id": "c-1"}) == [
        "Policy baseline, limit calls: 60 calls per 1m, counted by Namespace",
        "Policy baseline, budget daily: 5 microUSD, 7 tokens per 24h, counted by Agent",
        "Policy baseline, budget task: 9 calls over the whole Task, counted by Task",
        "data: pii: redacted in the answer",
        "data: secret: withholds the answer",
        "data: the answer keeps only id, name",
        "data: URLs may only name *.example.com",
        "data: the request has at most 100 bytes",
        "record: contact/c-1, leased for 60 s by the first writer",
        "duplicates: an identical write within 30 s is not sent again",
        "cost: 200 microUSD a call",
        "loops: 10 identical calls and 1000 calls a Task; handoffs 4 deep, 2 to one agent",
    ]


def test_a_record_that_can_not_be_named_is_told() -> None:
    assert any(
        line.startswith("record: refused: contact/${args.id} can't be named: ")
        for line in told(action("update_contact"))
    )


def test_a_read_has_neither_record_nor_duplicates() -> None:
    assert not any(line.startswith(("record", "duplicates", "cost")) for line in told(action("get_contact")))


def test_a_budget_of_a_whole_run_says_so() -> None:
    whole = merged(
        policy(rule("a"), budgets=[{"name": "run", "calls": 9, "scope": "Workflow"}]), tools=[tool()]
    )
    declared = whole.action("crm", "update_contact")
    assert declared is not None
    lines = [
        f"{bound.name}: {bound.says}"
        for bound in told_bounds(whole.obligations("crm", declared), declared, {})
    ]
    assert "Policy baseline, budget run: 9 calls over the whole run, counted by Workflow" in lines
