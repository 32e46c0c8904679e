from hashlib import sha256
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from aos.model.policy import Policy
from aos.policy.decision import decide
from aos.policy.effective import EffectivePolicy
from tests.unit.policy.make import Raw, agent, call, merged, policy, rule, tool

ACTIONS = ("get_contact", "search_contacts", "update_contact", "export_contacts")

conditions = st.sampled_from(["", "true", "false", "args.x == 1", "args.missing == 1"])
rules = st.builds(
    rule,
    name=st.sampled_from(["a", "b", "c", "d", "e", "f"]),
    effect=st.sampled_from(["Allow", "Deny"]),
    tool_name=st.sampled_from(["crm", "*", "erp"]),
    actions=st.lists(st.sampled_from([*ACTIONS, "*", "get_*"]), max_size=2),
    access=st.lists(st.sampled_from(["Read", "Write"]), max_size=2, unique=True),
    when=conditions,
)
rule_lists = st.lists(rules, min_size=1, max_size=5, unique_by=lambda item: str(item["name"]))


def named(lists: list[list[dict[str, JsonValue]]]) -> list[Policy]:
    return [policy(*items, name=f"p{index}") for index, items in enumerate(lists)]


policy_lists = st.lists(rule_lists, max_size=4).map(named)


def allowed(effective: EffectivePolicy) -> set[str]:
    return {action for action in ACTIONS if decide(effective, call(action, {"x": 1})).allowed}


@given(policy_lists, st.randoms())
def test_merging_does_not_depend_on_order(policies: list[Policy], random: object) -> None:
    shuffled = sorted(policies, key=lambda item: hash((id(random), item.metadata.name)))
    assert merged(*policies).digest == merged(*shuffled).digest


@given(policy_lists)
def test_merging_twice_changes_nothing(policies: list[Policy]) -> None:
    first, second = merged(*policies), merged(*policies)
    assert first.digest == second.digest
    assert allowed(first) == allowed(second)


@given(policy_lists, rule_lists)
def test_adding_a_deny_never_allows_more(policies: list[Policy], added: list[Raw]) -> None:
    denying = policy(*[{**item, "effect": "Deny"} for item in added], name="extra")
    assert allowed(merged(*policies, denying)) <= allowed(merged(*policies))


@given(policy_lists, rule_lists)
def test_adding_an_allow_never_lifts_a_deny(policies: list[Policy], added: list[Raw]) -> None:
    allowing = policy(*[{**item, "effect": "Allow"} for item in added], name="extra")
    before, after = merged(*policies), merged(*policies, allowing)
    for action in ACTIONS:
        if decide(before, call(action, {"x": 1})).reason == "DeniedByRule":
            assert not decide(after, call(action, {"x": 1})).allowed


@given(policy_lists)
def test_removing_every_allow_denies_everything(policies: list[Policy]) -> None:
    kept = [
        policy(*[item.model_dump(by_alias=True) for item in one.spec.rules if item.effect == "Deny"], name=one.metadata.name)
        for one in policies
        if any(item.effect == "Deny" for item in one.spec.rules)
    ]  # fmt: skip
    assert allowed(merged(*kept)) == set()


def test_what_bears_on_calls_is_in_the_digest() -> None:
    base = policy(rule("a"))
    variants = [
        merged(base),
        merged(policy(rule("a", when="true"))),
        merged(policy(rule("a", "Deny"))),
        merged(policy(rule("b"))),
        merged(policy(rule("a"), name="other")),
        merged(base, of=agent(labels={"role": "other"})),
        merged(base, of=agent(suspend=True)),
        merged(base, of=agent(model={"name": "default"})),
        merged(base, of=agent(delegates=["writer"])),
        merged(base, tools=[]),
        merged(base, unreadable=["broken"]),
        merged(),
    ]
    digests = [variant.digest for variant in variants]
    assert all(first != second for first, second in pairwise(sorted(digests)))


def test_a_tool_that_is_not_asked_for_is_not_in_the_digest() -> None:
    base = policy(rule("a"))
    assert merged(base).digest == merged(base, tools=[tool(), tool("erp")]).digest


def test_sources_name_each_policy_with_its_generation() -> None:
    effective = merged(policy(rule("a"), name="b"), policy(rule("a"), name="a"))
    assert [(source.kind, source.name, source.generation) for source in effective.sources] == [
        ("Policy", "a", 3),
        ("Policy", "b", 3),
    ]


def test_names_that_do_not_exist_are_judged_and_not_remembered() -> None:
    effective = merged(policy(rule("a")))
    assert effective.asks_for("crm", "made_up")
    assert ("crm", "made_up") not in effective._requested
    assert effective.asks_for("crm", "get_contact")
    assert ("crm", "get_contact") in effective._requested


def test_the_digest_is_that_of_the_document() -> None:
    effective = merged(policy(rule("reads")))
    assert effective.digest == "sha256:" + sha256(effective.document()).hexdigest()
