from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from aos.model.approval import Approvers
from aos.model.approval_request import ApprovalDecision, ApprovalRequestSpec, CountedDecision, Quorum, Verdict
from aos.policy.quorums import Tally, counts_for, tally

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LEADS: dict[str, JsonValue] = {"groups": ["sales-leads"]}
FINANCE: dict[str, JsonValue] = {"groups": ["finance"], "users": ["cfo"]}
BOT = "system:serviceaccount:ci:bot"


def quorum(rule: str = "risk Medium", required: int = 1, **rest: JsonValue) -> dict[str, JsonValue]:
    return {"rule": rule, "required": required, **rest}


def escalation(approvers: Mapping[str, JsonValue], after_minutes: int = 60) -> dict[str, JsonValue]:
    return {"at": (NOW + timedelta(minutes=after_minutes)).isoformat(), "approvers": dict(approvers)}


def decision(approver: str, *groups: str, verdict: Verdict = Verdict.APPROVE) -> ApprovalDecision:
    return ApprovalDecision(approver=approver, verdict=verdict, groups=groups)


def request(
    quorums: Sequence[Mapping[str, JsonValue]],
    decisions: Sequence[ApprovalDecision] = (),
    requested_by: str = "ana",
) -> ApprovalRequestSpec:
    digest = "sha256:" + "0" * 64
    return ApprovalRequestSpec.model_validate(
        {
            "agent": {"name": "enricher", "revision": "enricher-1"},
            "task": {"name": "t1", "uid": "u1"},
            "requestedBy": requested_by,
            "tool": "crm",
            "action": "update_contact",
            "access": "Write",
            "risk": "Medium",
            "summary": "crm.update_contact",
            "arguments": "{}",
            "argumentsDigest": digest,
            "definitionDigest": digest,
            "policyDigest": digest,
            "quorums": [dict(item) for item in quorums],
            "expiresAt": (NOW + timedelta(hours=4)).isoformat(),
            "decisions": [item.model_dump(mode="json") for item in decisions],
        }
    )


def counted(spec: ApprovalRequestSpec, minutes: int = 1) -> list[CountedDecision]:
    """Return what the operator counts if it sees all decisions at once."""
    time = NOW + timedelta(minutes=minutes)
    return [
        CountedDecision(
            approver=item.approver, verdict=item.verdict, time=time, rules=counts_for(spec, item, time)
        )
        for item in spec.decisions
    ]


def counting(
    quorums: Sequence[Mapping[str, JsonValue]], *decisions: ApprovalDecision, minutes: int = 1
) -> Tally:
    spec = request(quorums, decisions)
    return tally(spec, counted(spec, minutes))


@dataclass(frozen=True)
class Row:
    """Who decides at which minute of a request, and whether it counts."""

    says: str
    quorum: Mapping[str, JsonValue]
    decision: ApprovalDecision
    counts: bool
    minutes: int = 1


ROWS = (
    Row("anybody counts where nobody is named", quorum(), decision("bo"), counts=True),
    Row("who asked for the task never counts", quorum(), decision("ana"), counts=False),
    Row("however it is spelled", quorum(), decision("Ana"), counts=False),
    Row("nor where named", quorum(approvers={"users": ["ana"]}), decision("ana"), counts=False),
    Row("nor by a group", quorum(approvers=LEADS), decision("ana", "sales-leads"), counts=False),
    Row("one of the group counts", quorum(approvers=LEADS), decision("bo", "staff", "sales-leads"), counts=True),
    Row("one of another group does not", quorum(approvers=LEADS), decision("bo", "finance"), counts=False),
    Row("nor one of no group", quorum(approvers=LEADS), decision("bo"), counts=False),
    Row("a user who is named counts", quorum(approvers=FINANCE), decision("cfo"), counts=True),
    Row("and one of the group beside", quorum(approvers=FINANCE), decision("bo", "finance"), counts=True),
    Row("another user does not", quorum(approvers=FINANCE), decision("bo"), counts=False),
    Row("a name is compared exactly", quorum(approvers=FINANCE), decision("CFO"), counts=False),
    Row("a service account is not anybody", quorum(), decision(BOT), counts=False),
    Row("nor one of a group", quorum(approvers={"groups": ["g"]}), decision(BOT, "g"), counts=False),
    Row("nor a user", quorum(approvers={"users": [BOT]}), decision(BOT), counts=False),
    Row("a service account that is named counts", quorum(approvers={"serviceAccounts": ["ci:bot"]}), decision(BOT), counts=True),
    Row("another one does not", quorum(approvers={"serviceAccounts": ["ci:other"]}), decision(BOT), counts=False),
    Row("beside a named service account everybody counts", quorum(approvers={"serviceAccounts": ["ci:bot"]}), decision("bo"), counts=True),
    Row("a person is no service account of that name", quorum(approvers={"groups": ["g"], "serviceAccounts": ["ci:bot"]}), decision("ci:bot"), counts=False),
    Row("the last moment counts", quorum(), decision("bo"), counts=True, minutes=240),
    Row("after expiry nothing does", quorum(), decision("bo"), counts=False, minutes=241),
    Row("before it escalates others do not count", quorum(approvers=LEADS, escalation=escalation(FINANCE)), decision("cfo"), counts=False, minutes=59),
    Row("from then on they do", quorum(approvers=LEADS, escalation=escalation(FINANCE)), decision("cfo"), counts=True, minutes=60),
    Row("and those asked first still do", quorum(approvers=LEADS, escalation=escalation(FINANCE)), decision("bo", "sales-leads"), counts=True, minutes=60),
    Row("and no others", quorum(approvers=LEADS, escalation=escalation(FINANCE)), decision("bo"), counts=False, minutes=60),
    Row("nor who asked", quorum(approvers=LEADS, escalation=escalation({"users": ["ana"]})), decision("ana"), counts=False, minutes=60),
)  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.says)
def test_who_counts_for_a_quorum(row: Row) -> None:
    spec = request([row.quorum], [row.decision])
    time = NOW + timedelta(minutes=row.minutes)
    assert counts_for(spec, row.decision, time) == (("risk Medium",) if row.counts else ())
    reached = tally(spec, counted(spec, row.minutes))
    assert reached.reached is row.counts
    assert (reached.need, reached.have) == (1, int(row.counts))


def test_where_nobody_said_who_asked_nobody_is_left_out() -> None:
    spec = request([quorum()], [decision("bo")], requested_by="")
    assert tally(spec, counted(spec)).reached


def test_two_different_people_are_two_and_the_same_one_twice_is_not() -> None:
    two = [quorum("risk High", 2)]
    assert counting(two, decision("bo"), decision("cy")).reached
    assert not counting(two, decision("bo"), decision("Bo")).reached
    alone = counting(two, decision("bo"), decision("bo"))
    assert (alone.need, alone.have, alone.reached) == (2, 1, False)
    spec = request(two, [decision("bo")])
    assert not tally(spec, counted(spec) * 3).reached


def test_one_person_may_count_for_several_quorums() -> None:
    both = counting(
        [quorum("a", approvers=LEADS), quorum("b", approvers=FINANCE)],
        decision("bo", "sales-leads", "finance"),
    )
    assert both.reached
    assert [(item.rule, item.approved) for item in both.quorums] == [("a", 1), ("b", 1)]


def test_every_quorum_must_be_reached_and_what_one_has_too_much_does_not_count() -> None:
    quorums = [quorum("a", approvers=LEADS), quorum("b", 2, approvers=FINANCE)]
    partly = counting(
        quorums, decision("bo", "sales-leads"), decision("cy", "sales-leads"), decision("di", "finance")
    )
    assert [item.approved for item in partly.quorums] == [2, 1]
    assert (partly.need, partly.have, partly.reached) == (3, 2, False)


def test_one_rejection_of_somebody_who_counts_ends_it() -> None:
    quorums = [quorum("a", approvers=LEADS), quorum("b", approvers=FINANCE)]
    rejected = counting(
        quorums, decision("bo", "sales-leads", "finance"), decision("cfo", verdict=Verdict.REJECT)
    )
    assert (rejected.rejected_by, rejected.reached, rejected.have) == ("cfo", False, 2)


def test_a_rejection_of_somebody_who_does_not_count_ends_nothing() -> None:
    quorums = [quorum(approvers=LEADS)]
    other = counting(quorums, decision("bo", "sales-leads"), decision("cy", verdict=Verdict.REJECT))
    assert (other.rejected_by, other.reached) == ("", True)


def test_who_rejected_first_is_named_whatever_the_order() -> None:
    decisions = [decision(name, verdict=Verdict.REJECT) for name in ("bo", "cy")]
    spec = request([quorum()], decisions)
    late, early = counted(spec, 9)[0], counted(spec, 3)[1]
    assert tally(spec, [late, early]).rejected_by == "cy"
    assert tally(spec, [early, late]).rejected_by == "cy"


def test_what_is_not_in_the_spec_does_not_count_whatever_the_status_says() -> None:
    forged = CountedDecision(approver="bo", verdict=Verdict.APPROVE, time=NOW, rules=("risk Medium",))
    assert not tally(request([quorum()]), [forged]).reached
    rejecting = request([quorum()], [decision("bo", verdict=Verdict.REJECT)])
    assert not tally(rejecting, [forged]).reached
    outside = request([quorum(approvers=LEADS)], [decision("bo")])
    assert not tally(outside, [forged]).reached


def test_what_the_status_does_not_count_does_not_count_whatever_the_spec_says() -> None:
    spec = request([quorum("a"), quorum("b")], [decision("bo")])
    assert tally(spec, []).have == 0
    partly = [item.model_copy(update={"rules": ("a",)}) for item in counted(spec)]
    assert [item.approved for item in tally(spec, partly).quorums] == [1, 0]


NAMES = ("ana", "bo", "cy", "di", BOT)
GROUPS = ("sales-leads", "finance", "staff")


def a_request(random: Random) -> ApprovalRequestSpec:
    quorums = [
        quorum(
            f"q{number}",
            random.randint(1, 3),
            approvers=some_approvers(random),
            **(
                {"escalation": escalation(some_approvers(random), random.randint(0, 300))}
                if random.random() < 0.4
                else {}
            ),
        )
        for number in range(random.randint(1, 3))
    ]
    decisions = [
        decision(name, *some(random, GROUPS), verdict=random.choice([*[Verdict.APPROVE] * 5, Verdict.REJECT]))
        for name in some(random, NAMES)
    ]
    return request(quorums, decisions, requested_by=random.choice(["ana", "", "bo"]))


def some_approvers(random: Random) -> dict[str, JsonValue]:
    return {
        "groups": [*some(random, GROUPS)] if random.random() < 0.6 else [],
        "users": [*some(random, NAMES)] if random.random() < 0.3 else [],
        "serviceAccounts": ["ci:bot"] if random.random() < 0.2 else [],
    }


def some(random: Random, choices: Sequence[str]) -> list[str]:
    return random.sample(choices, random.randint(0, len(choices)))


def seen(random: Random, spec: ApprovalRequestSpec) -> list[CountedDecision]:
    """Return decisions as seen at any time, and one in ten by an operator that is wrong about them."""
    items = []
    for item in spec.decisions:
        time = NOW + timedelta(minutes=random.randint(0, 300))
        rules = counts_for(spec, item, time)
        if random.random() < 0.1:
            rules = tuple(some(random, ["q0", "q1", "q2"]))
        items.append(CountedDecision(approver=item.approver, verdict=item.verdict, time=time, rules=rules))
    return items


def slowly(spec: ApprovalRequestSpec, items: Sequence[CountedDecision]) -> tuple[list[set[str]], set[str]]:
    """Return who approved for each quorum, and who rejected, in the plainest words."""
    approved: list[set[str]] = []
    rejected: set[str] = set()
    for wanted in spec.quorums:
        names = set()
        for item in items:
            for made in spec.decisions:
                if not slowly_counts(spec, wanted, made, item):
                    continue
                if item.verdict == "Approve":
                    names.add(made.approver)
                else:
                    rejected.add(made.approver)
        approved.append(names)
    return approved, rejected


def slowly_counts(
    spec: ApprovalRequestSpec, wanted: Quorum, made: ApprovalDecision, item: CountedDecision
) -> bool:
    if made.approver != item.approver or made.verdict != item.verdict or wanted.rule not in item.rules:
        return False
    if made.approver == spec.requested_by or item.time > spec.expires_at:
        return False
    may = [wanted.approvers]
    if wanted.escalation is not None and item.time >= wanted.escalation.at:
        may.append(wanted.escalation.approvers)
    return any(slowly_named(made, among) for among in may)


def slowly_named(made: ApprovalDecision, among: Approvers) -> bool:
    if made.approver.startswith("system:serviceaccount:"):
        return made.approver.split(":", 2)[2] in among.service_accounts
    if among.groups or among.users:
        return made.approver in among.users or bool(set(made.groups) & set(among.groups))
    return True


@settings(max_examples=200)
@given(st.randoms(use_true_random=False))
def test_a_tally_is_what_the_slow_and_obvious_reference_says_in_any_order(random: Random) -> None:
    spec = a_request(random)
    items = seen(random, spec)
    found = tally(spec, items)
    approved, rejected = slowly(spec, items)
    assert [item.approved for item in found.quorums] == [len(names) for names in approved]
    assert (found.rejected_by in rejected) if rejected else not found.rejected_by
    enough = all(len(names) >= item.required for names, item in zip(approved, spec.quorums, strict=True))
    assert found.reached is (enough and not rejected)
    assert found.need == sum(item.required for item in spec.quorums)
    assert found.have <= found.need
    random.shuffle(items)
    assert tally(spec, [*items, *items]) == found


@settings(max_examples=200)
@given(st.randoms(use_true_random=False))
def test_it_is_never_reached_by_fewer_people_than_required_nor_with_who_asked(random: Random) -> None:
    spec = a_request(random)
    items = seen(random, spec)
    if tally(spec, items).reached:
        people = {item.approver for item in items if item.verdict is Verdict.APPROVE} - {spec.requested_by}
        assert len(people) >= max(item.required for item in spec.quorums)
        without = [item for item in items if item.approver != spec.requested_by]
        assert tally(spec, without).reached


def test_the_generated_requests_are_reached_rejected_and_left_open() -> None:
    random = Random(3)  # noqa: S311 - a test that is the same each time
    found = set()
    for _ in range(300):
        spec = a_request(random)
        counts = tally(spec, seen(random, spec))
        found.add((counts.reached, bool(counts.rejected_by)))
    assert found == {(True, False), (False, True), (False, False)}
